"""What a server answers on data connections: what it has, or where it is, and what clients bring."""

from __future__ import annotations

from collections.abc import Callable

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.location import Inline, Replica, replicas_of
from rain.common.protocol.messages import DataEnd, DataError, DataGet, DataList, DataPut, DataView, ObjectData
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.net.auth import Credentials
from rain.net.transfer import pass_on, serve_get, serve_put
from rain.net.transport import DataConnection
from rain.objects.held import Held
from rain.server.core import ServerCore
from rain.server.recovery.recorder import Recorder
from rain.server.uploads import ConstantFiles


class DataService:
    """Serves data connections.

    Parameters
    ----------
    core : ServerCore
    address : str
        Of the server's listener, the place of its own files.
    credentials : Credentials
    constants : ConstantFiles
    recorder : Recorder
        Nothing is told before what it follows from is written.
    uploaded : callable
        Called with a client's conversation and the name of the file that it brought; raises `RainException` if the
        client is gone.
    """

    def __init__(
        self,
        core: ServerCore,
        address: str,
        credentials: Credentials,
        constants: ConstantFiles,
        recorder: Recorder,
        uploaded: Callable[[str, str], None],
    ) -> None:
        self._core = core
        self._address = address
        self._credentials = credentials
        self._constants = constants
        self._recorder = recorder
        self._uploaded = uploaded

    async def serve(self, connection: DataConnection) -> None:
        """Answer until the peer closes the connection."""
        while True:
            request = await connection.receive()
            if not self._recorder.commit():
                await connection.send(DataError(f"the server cannot answer now: {self._recorder.full}"))
            elif isinstance(request, DataGet | DataList):
                await self._get(connection, request)
            elif isinstance(request, DataView):
                await self._view(connection, request)
            elif isinstance(request, DataPut):
                await self._put(connection, request)
            else:
                await connection.send(DataError("a server answers DataGet, DataList, DataView and DataPut only"))
                return

    async def _get(self, connection: DataConnection, request: DataGet | DataList) -> None:
        found = self._core.object_data(ID(*request.id))
        if found is None:
            await connection.send(DataError(f"object {request.id} is not finished, or its data are gone", missing=True))
            return
        await self._send_object(connection, request, found)

    async def _send_object(self, connection: DataConnection, request: DataGet | DataList, found: ObjectData) -> None:
        location = found.location
        replicas = replicas_of(location)
        own = next((replica.file for replica in replicas if replica.address == self._address), None)
        here = location if isinstance(location, Inline) else own
        if here is not None:
            await serve_get(connection, request, Held(here, found.spec.data_type == "dir"))
            return
        await pass_on(connection, request, replicas, self._credentials)

    async def _view(self, connection: DataConnection, request: DataView) -> None:
        request.id = ID(*request.id)
        if request.governor:
            await self._surroundings(connection, request)
            return
        found = self._core.places_of_view(request.id)
        if found is None:
            await connection.send(DataError(f"object {request.id} is not finished, or its data are gone", missing=True))
            return
        request.data, request.env, governors = found
        await pass_on(connection, request, [Replica(address, "") for address in governors], self._credentials)

    async def _surroundings(self, connection: DataConnection, request: DataView) -> None:
        if not self._core.knows(request.id.session_id, request.governor):
            await connection.send(DataError("this session or governor is gone", final=True))
            return
        request.data = ObjectData(ObjectSpec(request.id), ObjectInfo(size=0), Inline(b""))
        await pass_on(connection, request, [Replica(request.governor, "")], self._credentials)

    async def _put(self, connection: DataConnection, request: DataPut) -> None:
        try:
            checksum = await serve_put(connection, request, self._constants.sink(request.name))
            self._uploaded(request.conversation, request.name)
        except (RainException, OSError) as error:
            await connection.send(DataError(str(error)))
            connection.close()
            return
        if not self._recorder.commit():
            await connection.send(DataError(f"the server cannot note the upload: {self._recorder.full}"))
            connection.close()
            return
        await connection.send(DataEnd(checksum))
