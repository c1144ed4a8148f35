"""How people log in: accounts in Airflow's database, unless a file of the site says otherwise.

``docs/install-with-compose.md`` shows what stands there for LDAP and for OAuth.
"""

from __future__ import annotations

from flask_appbuilder.const import AUTH_DB

AUTH_TYPE = AUTH_DB
# Nobody makes an account for oneself, and nobody sees anything without one.
AUTH_USER_REGISTRATION = False
WTF_CSRF_ENABLED = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
