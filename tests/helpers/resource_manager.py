"""A ResourceManager of YARN's own protocol that takes applications in and starts none: its queue is full."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.java_gateway import ensure_callback_server_started, launch_gateway

WHY = "Queue's AM resource limit exceeded."


class _FullQueue:
    """What YARN's clients ask for (org.apache.hadoop.yarn.api.ApplicationClientProtocol)."""

    def __init__(self, yarn: Any) -> None:
        self._records, self._protocol = yarn.api.records, yarn.api.protocolrecords
        self._new = yarn.util.Records.newRecord
        self.application = self._records.ApplicationId.newInstance(1_700_000_000_000, 7)
        self.name = str(self.application)
        self.tags: Any = None
        self.killed: list[str] = []
        self.taken_in = threading.Event()

    def getClusterMetrics(self, request: Any) -> Any:
        return self._protocol.GetClusterMetricsResponse.newInstance(self._records.YarnClusterMetrics.newInstance(1))

    def getNewApplication(self, request: Any) -> Any:
        least, most = self._records.Resource.newInstance(512, 1), self._records.Resource.newInstance(8192, 4)
        return self._protocol.GetNewApplicationResponse.newInstance(self.application, least, most)

    def submitApplication(self, request: Any) -> Any:
        self.tags = request.getApplicationSubmissionContext().getApplicationTags()
        self.taken_in.set()
        return self._protocol.SubmitApplicationResponse.newInstance()

    def getApplicationReport(self, request: Any) -> Any:
        return self._protocol.GetApplicationReportResponse.newInstance(self._report())

    def getApplications(self, request: Any) -> Any:
        is_meant = self.tags is not None and self.tags.containsAll(request.getApplicationTags())
        return self._protocol.GetApplicationsResponse.newInstance([self._report()] if is_meant else [])

    def forceKillApplication(self, request: Any) -> Any:
        self.killed.append(str(request.getApplicationId()))
        return self._protocol.KillApplicationResponse.newInstance(True)

    def _report(self) -> Any:
        java_class = self._records.ApplicationReport._java_lang_class
        report = self._new(java_class)
        report.setApplicationId(self.application)
        state, end = ("KILLED", "KILLED") if self.killed else ("ACCEPTED", "UNDEFINED")
        report.setYarnApplicationState(self._records.YarnApplicationState.valueOf(state))
        report.setFinalApplicationStatus(self._records.FinalApplicationStatus.valueOf(end))
        report.setDiagnostics(WHY)
        return report

    class Java:
        implements = ("org.apache.hadoop.yarn.api.ApplicationClientProtocol",)


@contextmanager
def resource_manager(folder: Path) -> Iterator[_FullQueue]:
    """Run one, and write its address into `yarn-site.xml` of a folder."""
    gateway = launch_gateway()
    try:
        ensure_callback_server_started(gateway)
        yarn = gateway.jvm.org.apache.hadoop.yarn
        queue = _FullQueue(yarn)
        conf = yarn.conf.YarnConfiguration()
        of = gateway.jvm.java.lang.Class.forName("org.apache.hadoop.yarn.api.ApplicationClientProtocol")
        address = gateway.jvm.java.net.InetSocketAddress("127.0.0.1", 0)
        server = yarn.ipc.YarnRPC.create(conf).getServer(of, queue, address, conf, None, 2)
        server.start()
        write_address(folder, server.getListenerAddress().getPort())
        yield queue
    finally:
        gateway.proc.stdin.close()  # its JVM's end closes the connections that the callback server waits for
        gateway.proc.wait()
        gateway.shutdown_callback_server()


def write_address(folder: Path, port: int) -> None:
    """Write where a ResourceManager listens, as Hadoop's clients read it."""
    name = "yarn.resourcemanager.address"
    entry = f"<property><name>{name}</name><value>127.0.0.1:{port}</value></property>"
    (folder / "yarn-site.xml").write_text(f"<configuration>{entry}</configuration>\n")
