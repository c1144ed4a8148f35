"""A read-only web server for run directories and the weblogs in them.

A weblog's front page loads its parts with JavaScript, so it must be looked at over HTTP. The demo serves the
processing and QA areas with this; an observatory has a web server of its own.
"""
