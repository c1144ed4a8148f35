"""The embedded observatory: servers, data and a stack to run on one machine; production never imports it."""
