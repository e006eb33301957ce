"""Apache Kafka on this machine: one node in KRaft mode, on loopback, its jars resolved by Maven."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.embedded.lock import locked
from app.embedded.process import Process, ServerError
from app.embedded.server import HOST, EmbeddedServer, Say, quiet

POM = Path(__file__).parents[2] / "infra" / "kafka" / "pom.xml"
PROPERTIES = Path(__file__).with_name("kafka.properties")
JAVA_VERSION_MIN = 17
INSTALL_TIMEOUT_S = 600
FORMAT_TIMEOUT_S = 60
PROBE_TIMEOUT_S = 2
# The serial collector: with a small heap on two cores it starts a second sooner and its pauses stay short.
JAVA_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC")
LOG_OPTIONS = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaConfig=warn",  # prints every setting, twice
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
)


class EmbeddedKafka(EmbeddedServer):
    name = "kafka"

    def __init__(self, directory: Path, *, libs: Path | None = None, say: Say = quiet) -> None:
        """``libs``: the folder of jars, to share it between servers; by default inside ``directory``."""
        super().__init__(directory, say=say)
        self.libs = (libs or self.directory / "libs").resolve()  # it may be a link to a shared folder

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port('kafka')}"

    async def prepare(self) -> Process:
        java = await find_java()
        await install(self.libs, say=self.say)
        await self.choose_port("kafka")
        await self.choose_port("controller")
        properties = self._write_properties()
        if not (self._data / "meta.properties").exists():
            await self._format(java, properties)
        return Process(
            name=self.name,
            argv=(java, *JAVA_OPTIONS, *LOG_OPTIONS, "-cp", f"{self.libs}/*", "kafka.Kafka", str(properties)),
            log=self.log_path,
            cwd=self.directory,
            ready=self._answers,
        )

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _write_properties(self) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        kafka, controller = self.address, f"{HOST}:{self.port('controller')}"
        file = self.directory / "server.properties"
        file.write_text(
            PROPERTIES.read_text()
            + f"\nlisteners=PLAINTEXT://{kafka},CONTROLLER://{controller}\n"
            + f"advertised.listeners=PLAINTEXT://{kafka}\n"
            + f"controller.quorum.voters=1@{controller}\n"
            + f"log.dirs={_escaped(self._data)}\n"
        )
        return file

    async def _format(self, java: str, properties: Path) -> None:
        # The letter in front: a name that begins with "-" would be taken for an option.
        cluster_id = "K" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        # Formatting that was cut short leaves a folder that it would refuse the next time.
        shutil.rmtree(self._data, ignore_errors=True)
        command = (java, "-XX:TieredStopAtLevel=1", "-cp", f"{self.libs}/*", "kafka.tools.StorageTool",
                   "format", "-t", cluster_id, "-c", str(properties))  # fmt: skip
        status, output = await _run(command, timeout_s=FORMAT_TIMEOUT_S)
        if status != 0:
            raise ServerError(f"Kafka's storage in {self._data} cannot be formatted:\n{output[-2_000:]}")

    async def _answers(self) -> bool:
        return await answers(self.address)


async def answers(bootstrap: str) -> bool:
    """Whether an admin client gets an answer from a broker at ``bootstrap``."""
    host, _, port = bootstrap.rpartition(":")
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            # The client logs every refused connection as an error: knock first.
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=PROBE_TIMEOUT_S * 1_000)
            try:
                await admin.start()
                cluster = await admin.describe_cluster()
            finally:
                await admin.close()
    except (OSError, TimeoutError, KafkaError):
        return False
    return bool(cluster["brokers"])


async def find_java() -> str:
    """The path of a Java that is new enough: JAVA_HOME's, else the one on the PATH."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    way_out = (
        f"install Java {JAVA_VERSION_MIN} or newer (Debian and Ubuntu: apt-get install openjdk-17-jre-headless;"
        " macOS: brew install openjdk@17), or set KAFKA_BOOTSTRAP to a Kafka of your own"
    )
    if java is None:
        raise ServerError(f"the embedded Kafka needs Java, and there is none: {way_out}")
    _, output = await _run((java, "-version"), timeout_s=30)
    version = java_version(output)
    if version is None or version < JAVA_VERSION_MIN:
        raise ServerError(f"the embedded Kafka needs Java {JAVA_VERSION_MIN}, and {java} is {version}: {way_out}")
    return java


def java_version(output: str) -> int | None:
    """The major version in what ``java -version`` prints: 17 of "17.0.15", 8 of "1.8.0_402"."""
    match = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(match[1]) if match else None


async def install(libs: Path, *, say: Say = quiet) -> None:
    """Put Kafka's jars into ``libs``, unless those of this pom are there."""
    if not POM.exists():
        raise ServerError(
            f"{POM} is missing: the embedded Kafka needs a checkout of Deskstream. Set KAFKA_BOOTSTRAP otherwise."
        )
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()
    async with locked(libs.with_name(libs.name + ".lock"), timeout_s=INSTALL_TIMEOUT_S):
        done = libs / "pom.sha256"
        if done.exists() and done.read_text() == wanted:
            return
        draft = libs.with_name(libs.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        await _copy_dependencies(draft, say=say)
        (draft / done.name).write_text(wanted)
        shutil.rmtree(libs, ignore_errors=True)
        draft.rename(libs)


async def _copy_dependencies(folder: Path, *, say: Say) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerError(
            "the embedded Kafka is fetched by Maven, and there is no mvn: install it (Debian and Ubuntu: apt-get"
            " install maven; macOS: brew install maven), or set KAFKA_BOOTSTRAP to a Kafka of your own"
        )
    say("Apache Kafka: fetching its jars (once, about 65 MB)")
    command = (maven, "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}")
    status, output = await _run(command, timeout_s=INSTALL_TIMEOUT_S, count="Downloaded from", say=say)
    if status != 0:
        reasons = "\n".join(line for line in output.splitlines() if line.startswith("[ERROR]"))
        raise ServerError(f"Maven could not fetch Apache Kafka:\n{reasons[:2_000] or output[-2_000:]}")


async def _run(command: tuple[str, ...], *, timeout_s: float, count: str = "", say: Say = quiet) -> tuple[int, str]:
    """Exit status and output, reporting every 20 lines that hold ``count``."""
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert child.stdout is not None
    lines, counted = [], 0
    try:
        async with asyncio.timeout(timeout_s):
            async for line in child.stdout:
                lines.append(line.decode(errors="replace"))
                if count and count in lines[-1]:
                    counted += 1
                    if counted % 20 == 0:
                        say(f"Apache Kafka: {counted} files fetched")
            return await child.wait(), "".join(lines)
    except TimeoutError:
        raise ServerError(f"`{' '.join(command[:1])}` took longer than {timeout_s:.0f} s and was stopped") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def _escaped(path: Path) -> str:
    """As a value in a Java properties file, where a backslash escapes."""
    return str(path).replace("\\", "\\\\")
