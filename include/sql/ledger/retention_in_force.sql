SELECT kind, days FROM retention ORDER BY kind
