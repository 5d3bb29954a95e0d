"""The client of `airtight serve`: many requests under way over one connection, matched by id.

docs/serve.md describes the protocol. Nothing here knows of SCons.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading

PROTOCOL = 1

#: How long a daemon may take until it listens, in seconds.
START = 20


class Failure(Exception):
    """The daemon has answered a request with an error; `code` is one of docs/serve.md."""

    def __init__(self, code, message, hints=()):
        super().__init__(message)
        self.code = code
        self.hints = list(hints)


class Gone(Exception):
    """The daemon could not be started, or it has ended before it answered."""


class Pending:
    """A request that is under way."""

    def __init__(self, done=None):
        self._done = done
        self._settled = threading.Event()
        self._answer = None
        self._error = None

    def settle(self, answer, error):
        """Sets what came of it. Called once."""
        self._answer, self._error = answer, error
        self._settled.set()
        if self._done is not None:
            self._done(self)

    def result(self, timeout=None):
        """Waits for the answer, an object with its kind as the one member. Raises Failure, Gone,
        and TimeoutError when `timeout` seconds have passed."""
        if not self._settled.wait(timeout):
            raise TimeoutError("no answer within %s s" % timeout)
        if self._error is not None:
            raise self._error
        return self._answer


class Client:
    """One connection. May be used by many threads at once."""

    def __init__(self, path):
        """Connects to the socket at `path`; raises OSError."""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        # Not one lock for both: while a request waits until the daemon reads, answers are taken,
        # for which the daemon may be waiting.
        self._sending = threading.Lock()
        self._state = threading.Lock()
        self._pending = {}
        self._last = 0
        self._gone = None
        self._reader = threading.Thread(target=self._read, name="airtight", daemon=True)
        self._reader.start()

    def send(self, kind, body, done=None):
        """Sends a request and gives its Pending at once. `done(pending)` is called by another
        thread when it is settled, also when the daemon is gone; it must not send, nor wait."""
        pending = Pending(done)
        try:
            body = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        except UnicodeEncodeError as error:
            pending.settle(None, Failure("bad-message", "a name is not UTF-8: %s" % error))
            return pending
        with self._state:
            gone = self._gone
            if gone is None:
                self._last += 1
                number = self._last
                self._pending[number] = pending
        if gone is not None:
            pending.settle(None, gone)
            return pending
        line = b'{"id":%d,"%s":%s}\n' % (number, kind.encode("ascii"), body)
        try:
            with self._sending:
                self._socket.sendall(line)
        except OSError as error:
            self._end(Gone("the daemon does not listen any more: %s" % error))
        return pending

    def ask(self, kind, body, timeout=None):
        """Sends a request and waits for its answer. Raises as Pending.result does."""
        return self.send(kind, body).result(timeout)

    def close(self, timeout=None):
        """Ends the connection when all is answered and published, for at most `timeout` seconds.
        Gives whether it has ended by then."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self._reader.join(timeout)
        ended = not self._reader.is_alive()
        if not ended:
            self._end(Gone("the connection was closed"))
        return ended

    def _read(self):
        why = "the daemon has ended"
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    self._take(json.loads(line.decode("utf-8")))
        except (OSError, ValueError) as error:
            why = "the daemon can't be understood: %s" % error
        self._end(Gone(why))

    def _take(self, answer):
        """Settles the request that an answer belongs to."""
        number = answer.pop("id")
        error = answer.get("error")
        if error is not None:
            error = Failure(error["code"], error["message"], error.get("hints", ()))
        with self._state:
            pending = self._pending.pop(number, None)
        if pending is not None:
            pending.settle(None if error else answer, error)

    def _end(self, gone):
        """Settles all that will get no answer any more."""
        with self._state:
            if self._gone is None:
                self._gone = gone
            rest, self._pending = self._pending, {}
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
        for pending in rest.values():
            pending.settle(None, gone)


class Daemon:
    """An `airtight serve` of our own, which ends when this process does.

    `client` is for what has to be finished, `searches` for requests that may be left unanswered:
    at the end nobody waits for a remote that is slow to say what it has."""

    def __init__(self, program, directory, arguments=(), environment=None):
        """Starts it in `directory`, whose settings it has. Raises Gone."""
        place = _place()
        try:
            self._start([program, "serve"] + list(arguments), directory, environment, place)
        except (OSError, ValueError, KeyError, TimeoutError, Failure, Gone) as error:
            raise Gone("can't use %s serve: %s" % (program, error)) from error
        finally:
            # Nobody else is to connect, and so nothing is left behind however this process ends.
            shutil.rmtree(place, ignore_errors=True)

    def _start(self, command, directory, environment, place):
        # A session of its own: Ctrl-C is for the build, which may still want to ask.
        self._process = subprocess.Popen(
            command + ["--exit-with-stdin", "--socket", os.path.join(place, "s")],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            timer = threading.Timer(START, self._process.kill)
            timer.daemon = True
            timer.start()
            line = self._process.stdout.readline()
            timer.cancel()
            if not line:
                raise Gone("it ended with %s" % self._process.wait())
            ready = json.loads(line.decode("utf-8"))
            self.client = Client(ready["socket"])
            self.searches = Client(ready["socket"])
            self.hello = self.client.ask("hello", {"protocol": PROTOCOL}, START)["hello"]
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def close(self, timeout=None):
        """Lets it finish what it publishes, for at most `timeout` seconds, then ends it. Gives
        whether all was finished."""
        self.searches.close(0)
        ended = self.client.close(timeout)
        try:
            self._process.stdin.close()
        except OSError:
            pass
        self._process.stdout.close()
        # By itself it ends now, once it has answered; told so again, at once.
        for end in (None, self._process.terminate, self._process.terminate, self._process.kill):
            if end is not None:
                end()
            try:
                self._process.wait(0.3)
                break
            except subprocess.TimeoutExpired:
                pass
        return ended


def _place():
    """A new directory of our own for a socket, whose name may be about 100 bytes long."""
    place = tempfile.mkdtemp(prefix="airtight-", dir=os.environ.get("XDG_RUNTIME_DIR") or None)
    if len(os.fsencode(place)) > 90:
        os.rmdir(place)
        place = tempfile.mkdtemp(prefix="airtight-", dir="/tmp")
    return place


def stream(value):
    """The bytes of a stream in an answer."""
    if "text" in value:
        return value["text"].encode("utf-8")
    return base64.b64decode(value["base64"])


def umask():
    """The umask of this process. There is no way to read it without setting it, so this is to be
    called while there is one thread."""
    now = os.umask(0o077)
    os.umask(now)
    return now
