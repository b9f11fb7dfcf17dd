"""The server's core: a pure state machine; see `rain.server.core.core`."""

from rain.server.core.core import ServerCore as ServerCore
