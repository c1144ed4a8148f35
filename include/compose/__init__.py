"""What only docker-compose.yaml starts: secrets, the first start, accounts' roles, health checks."""
