"""The real LiteLLM proxy with a table of MCP servers in memory in the place of PostgreSQL.

Its own code takes, checks, judges and answers every request; only the rows are kept here. Its database client (Prisma)
downloads an engine that no package registry has.

usage: with_table.py CONFIG PORT    (the key in LITELLM_MASTER_KEY)
"""

import contextlib
import copy
import datetime
import json
import os
import sys

import uvicorn

JSON_COLUMNS = ("mcp_info", "credentials", "static_headers", "env", "env_vars")


class Row:
    def __init__(self, data):
        self._data = data

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._data.get(name)

    def model_dump(self, **_):
        return copy.deepcopy(self._data)


def plain(value):
    """A column as the database would give it back."""
    data = getattr(value, "data", value)
    if isinstance(data, str):
        with contextlib.suppress(ValueError):
            data = json.loads(data)
    return data


def fits(row, where):
    for key, wanted in (where or {}).items():
        if key == "AND":
            good = all(fits(row, one) for one in wanted)
        elif key == "OR":
            good = any(fits(row, one) for one in wanted)
        elif key == "NOT":
            good = not any(fits(row, one) for one in (wanted if isinstance(wanted, list) else [wanted]))
        elif isinstance(wanted, dict):
            is_ = row.get(key)
            if "in" in wanted:
                good = is_ in list(wanted["in"])
            elif "not" in wanted:
                good = is_ != wanted["not"]
            elif "has" in wanted:
                good = wanted["has"] in (is_ or [])
            elif "hasSome" in wanted:
                good = bool(set(wanted["hasSome"]) & set(is_ or []))
            else:
                good = str(is_).lower() == str(wanted.get("equals")).lower()
        else:
            good = row.get(key) == wanted
        if not good:
            return False
    return True


class Table:
    def __init__(self, key):
        self.key = key
        self.rows = {}

    def _found(self, where):
        return [row for row in self.rows.values() if fits(row, where)]

    async def find_many(self, where=None, **_):
        return [Row(row) for row in self._found(where)]

    async def find_first(self, where=None, **_):
        found = self._found(where)
        return Row(found[0]) if found else None

    find_unique = find_first

    async def count(self, where=None, **_):
        return len(self._found(where))

    def _put(self, row, data):
        row.update({key: plain(value) if key in JSON_COLUMNS else value for key, value in data.items()})
        row["updated_at"] = datetime.datetime.now(datetime.timezone.utc)
        return Row(row)

    async def create(self, data, **_):
        row = {"created_at": datetime.datetime.now(datetime.timezone.utc)}
        self.rows[data[self.key]] = row
        return self._put(row, data)

    async def update(self, where, data, **_):
        found = self._found(where)
        return self._put(found[0], data) if found else None

    async def delete(self, where, **_):
        found = self._found(where)
        return Row(self.rows.pop(found[0][self.key])) if found else None

    async def delete_many(self, where=None, **_):
        for row in self._found(where):
            del self.rows[row[self.key]]


class Database:
    def __init__(self):
        self.tables = {"litellm_mcpservertable": Table("server_id")}

    def __getattr__(self, name):
        if not name.startswith("litellm_"):
            raise AttributeError(name)
        return self.tables.setdefault(name, Table("id"))

    @contextlib.asynccontextmanager
    async def tx(self, **_):
        yield self

    async def execute_raw(self, *_):
        return 0

    async def query_raw(self, *_):
        return []


class Client:
    def __init__(self):
        self.db = self.writer_db = Database()

    async def get_data(self, *_, **__):
        return None


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        from litellm.proxy import proxy_server

        proxy_server.prisma_client = Client()


def main():
    config, port = sys.argv[1], int(sys.argv[2])
    os.environ["CONFIG_FILE_PATH"] = config
    from litellm.proxy.proxy_server import app

    Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")).run()


if __name__ == "__main__":
    main()
