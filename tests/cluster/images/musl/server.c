/* A stdio MCP server with one tool, `where`: who it runs as, and whether it may write to its root. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void answer(const char *line, const char *member, const char *value) {
	const char *id = strstr(line, "\"id\":");
	if (!id) return;
	id += 5;
	printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"%s\":%s}\n", (int)strcspn(id, ",}"), id, member, value);
	fflush(stdout);
}

int main(void) {
	static char line[1 << 16];
	char said[256], host[128] = "";
	gethostname(host, sizeof host - 1);
	fprintf(stderr, "where: a word for the log\n");
	while (fgets(line, sizeof line, stdin)) {
		if (strstr(line, "\"method\":\"initialize\""))
			answer(line, "result", "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"where\",\"version\":\"1\"}}");
		else if (strstr(line, "\"method\":\"tools/list\""))
			answer(line, "result", "{\"tools\":[{\"name\":\"where\",\"inputSchema\":{\"type\":\"object\"}}]}");
		else if (strstr(line, "\"method\":\"tools/call\"")) {
			FILE *file = fopen("/written", "w");
			snprintf(said, sizeof said, "{\"content\":[{\"type\":\"text\",\"text\":\"%s uid %d, %s\"}]}", host, (int)getuid(), file ? "root written" : "root read-only");
			if (file) fclose(file);
			answer(line, "result", said);
		} else
			answer(line, "error", "{\"code\":-32601,\"message\":\"no such method\"}");
	}
	return 0;
}
