"""The stack: brings up, watches and takes down an instance of the embedded observatory with Airflow."""

from sandbox.stack.instance import Instance
from sandbox.stack.ports import Ports

__all__ = ["Instance", "Ports"]
