# Built in a folder that holds two files: the static binary `pilothouse` and `ca-certificates.crt`.
FROM scratch
LABEL org.opencontainers.image.title="pilothouse" \
      org.opencontainers.image.description="An MCP server for Kubernetes and its own operator" \
      org.opencontainers.image.source="https://github.com/pilothouse/pilothouse" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY pilothouse /pilothouse
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/pilothouse"]
