"""The scheduler of a build that takes results from the cache.

SCons fetches in the job slot: `-j` then bounds what is on its way as well, and a remote that is far
away makes each slot wait. Here one thread walks the graph and keeps many requests under way, while
`-j` bounds only what is built. All else is as in SCons' own job classes: who is told what of a task,
in which order, and what happens on errors and signals.
"""

import heapq
import queue
import threading

import SCons.Errors
import SCons.Node
import SCons.Script.Main
import SCons.Taskmaster.Job

from . import cache, messages, service

#: How many requests a connection to the daemon bears, and still leaves room for the builds' own.
MOST = 200

#: How many tasks may wait for a slot before no more of the graph is walked.
WAITING = 500


def install():
    """Makes SCons use this scheduler where results are to be taken from the cache."""
    SCons.Taskmaster.Job.Jobs = Jobs


class Jobs(SCons.Taskmaster.Job.Jobs):
    """Chooses the scheduler. Tests of Configure, -q, -c and -n have that of SCons."""

    def __init__(self, num, taskmaster):
        tasker = getattr(taskmaster, "tasker", None)
        builds = isinstance(tasker, type) and issubclass(tasker, SCons.Script.Main.BuildTask)
        if builds:
            cache.check()
        if not builds or not cache.enabled():
            super().__init__(num, taskmaster)
            return
        self.job = Coordinator(taskmaster, num, cache.Search())
        self.num_jobs = num


class Interrupted(SCons.Taskmaster.Job.InterruptState):
    """Set by a signal handler, which may find the coordinator waiting."""

    def __init__(self, events):
        super().__init__()
        self._events = events

    def set(self):
        super().set()
        service.hurry()
        self._events.put(None)


class Work:
    """A task on its way."""

    __slots__ = ("number", "task", "prepared", "asked", "hit")

    def __init__(self, number, task):
        self.number = number
        self.task = task
        self.prepared = False
        #: Whether it needs no more asking: what is left is to build it.
        self.asked = False
        self.hit = None

    def __lt__(self, other):
        return self.number < other.number


class Coordinator:
    """Runs the tasks of a taskmaster. `interrupted` and `taskmaster` are for SCons' signal handler."""

    def __init__(self, taskmaster, num, search):
        self.taskmaster = taskmaster
        self._events = queue.SimpleQueue()
        self.interrupted = Interrupted(self._events)
        self._slots = max(num, 1)
        self._search = search
        self._workers = []
        self._jobs = queue.SimpleQueue()
        #: Work that waits for a slot; what came first goes first.
        self._waiting = []
        self._busy = 0
        self._searching = {}
        self._restoring = 0
        self._count = 0
        #: Whether the taskmaster has no more tasks until one is retired.
        self._walked = False
        self._dropped = False

    def start(self):
        """Runs all tasks; returns when there are no more, or the build was stopped."""
        try:
            self._run()
        finally:
            for _ in self._workers:
                self._jobs.put(None)
            for worker in self._workers:
                worker.join()
            self._search.tell()
        if not self._dropped:
            # It looks for cycles among tasks that never came up.
            self.taskmaster.cleanup()

    def _run(self):
        while True:
            while not self._events.empty():
                self._handle(self._events.get())
            if self._stopped():
                self._drop()
            if self._slots > 1:
                self._fill()
            if not self._walked and self._room():
                self._walked = not self._walk()
                continue
            # With one slot the building is done here: whatever else could be begun has been.
            self._fill()
            if self._busy or self._searching or self._restoring:
                self._handle(self._events.get())
            elif self._walked and self._events.empty():
                return

    def _room(self):
        """Whether one more task may be taken."""
        return len(self._waiting) < WAITING and len(self._searching) < min(
            self._search.connections, MOST
        )

    def _stopped(self):
        """Whether the taskmaster gives no more tasks, after an error or a signal."""
        return self.taskmaster.next_candidate == self.taskmaster.no_next_candidate

    def _drop(self):
        """Gives up what has not begun. Nothing in the workspace has changed for it, unless SCons'
        own cache was asked."""
        for work in [*self._waiting, *self._searching.values()]:
            self._dropped = True
            self.taskmaster.will_not_build(work.task.targets)
            cache.done(work.task)
        self._waiting = []
        self._searching = {}

    def _walk(self):
        """Takes the next task; False if there is none at the moment."""
        task = self.taskmaster.next_task()
        if task is None:
            return False
        self._count += 1
        work = Work(self._count, task)
        if task.exc_info()[1] is not None:
            # The error waits for those before it, which SCons would have built first.
            heapq.heappush(self._waiting, work)
            return True
        if task.targets[0].get_state() == SCons.Node.executing:
            if cache.front(task):
                heapq.heappush(self._waiting, work)
            else:
                self._look(work)
            return True
        if self._prepare(work):
            if task.needs_execute():
                heapq.heappush(self._waiting, work)
            else:
                task.executed()
                task.postprocess()
        return True

    def _prepare(self, work):
        """Lets SCons prepare a task, once; False if that failed, and so the task."""
        if work.prepared:
            return True
        work.prepared = True
        try:
            work.task.prepare()
        except Exception:
            work.task.exception_set()
            self._retire(work, False)
            return False
        return True

    def _look(self, work):
        """Looks for the result of a task, or else lets it be built."""
        work.asked = True
        try:
            sent = self._search.send(work.task, self._then(self._on_found, work.number))
        except Exception as error:
            # If it is the action's own fault, SCons tells more when it is built.
            messages.once("%s: not looked for in the cache: %s" % (work.task.targets[0], error))
            sent = False
        if sent:
            self._searching[work.number] = work
        else:
            heapq.heappush(self._waiting, work)

    def _fill(self):
        """Begins as much as there are slots for."""
        while self._waiting and self._busy < self._slots and not self._stopped():
            if self._slots == 1 and self._earlier(self._waiting[0].number):
                # One by one is in order.
                return
            work = heapq.heappop(self._waiting)
            if not self._prepare(work):
                continue
            if not work.asked and not cache.front(work.task):
                work.asked = True
            self._busy += 1
            if self._slots == 1:
                # Where SCons without -j builds too: some actions mind.
                self._execute(work)
                return
            self._jobs.put(work)
            if len(self._workers) < self._busy:
                self._hire()

    def _earlier(self, number):
        """Whether something that came before is still looked for."""
        return min(self._searching, default=number) < number

    def _hire(self):
        """One more thread, of the size that SCons gives to its own."""
        job = SCons.Taskmaster.Job
        size = job.explicit_stack_size or job.default_stack_size
        before = threading.stack_size(size * 1024)
        worker = threading.Thread(target=self._serve, daemon=True)
        worker.start()
        threading.stack_size(before)
        self._workers.append(worker)

    def _serve(self):
        while True:
            work = self._jobs.get()
            if work is None:
                return
            self._execute(work)

    def _execute(self, work):
        """What takes a slot: to build a task, or to ask SCons' own cache for it."""
        result = True
        step = self._on_built if work.asked else self._on_fronted
        try:
            if self.interrupted():
                raise SCons.Errors.BuildError(
                    work.task.targets[0], errstr=SCons.Taskmaster.Job.interrupt_msg
                )
            if work.asked:
                work.task.execute()
            else:
                result = cache.ask_front(work.task)
        except Exception:
            work.task.exception_set()
            step, result = self._on_built, False
        self._events.put((step, work, result))

    def _handle(self, event):
        """Goes on with what has come. None only wakes."""
        if event is not None:
            step, work, result = event
            step(work, result)

    def _on_fronted(self, work, came):
        """SCons' own cache has answered."""
        self._busy -= 1
        if came:
            self._complete(work)
        else:
            self._look(work)

    def _on_found(self, number, pending):
        """The cache has answered."""
        work = self._searching.pop(number, None)
        if work is None:
            self._search.forget(pending)
            return
        work.hit = self._search.found(work.task, pending)
        if work.hit is None:
            heapq.heappush(self._waiting, work)
        elif self._prepare(work):
            self._restoring += 1
            self._search.restore(work.hit, self._then(self._on_restored, work))

    def _on_restored(self, work, pending):
        """The files of a hit were written, or can't be."""
        self._restoring -= 1
        if not self._search.restored(work.task, work.hit, pending):
            heapq.heappush(self._waiting, work)
            return
        if cache.front(work.task):
            cache.fill_front(work.task)
        self._complete(work)

    def _then(self, step, what):
        """What another thread is to call with an answer, so that `step` goes on with it here."""

        def settled(pending):
            self._events.put((step, what, pending))

        return settled

    def _complete(self, work):
        """Ends a task whose files have come from a cache: SCons finds them where it looks."""
        try:
            work.task.execute()
        except Exception:
            work.task.exception_set()
            self._retire(work, False)
        else:
            self._retire(work, True)

    def _on_built(self, work, ok):
        self._busy -= 1
        self._retire(work, ok)

    def _retire(self, work, ok):
        """Tells SCons what became of a task. Others may be ready then."""
        task = work.task
        cache.done(task)
        if ok:
            task.executed()
        else:
            if self.interrupted():
                try:
                    raise SCons.Errors.BuildError(
                        task.targets[0], errstr=SCons.Taskmaster.Job.interrupt_msg
                    )
                except SCons.Errors.BuildError:
                    task.exception_set()
            task.failed()
        task.postprocess()
        self._walked = False
