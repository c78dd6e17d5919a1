"""Run Autobahn|Testsuite. The one part of the campaign that runs on Python 2.7.

    python2.7 -E -s fuzzer.py PACKAGES describe
    python2.7 -E -s fuzzer.py PACKAGES run SPEC

PACKAGES is the folder where the suite was installed. `describe` prints as JSON what the suite
is and which cases it has. `run` takes a spec of the suite's own kind, a JSON file, with:

    limit       seconds after which the run ends, however far it has come
    listener    a descriptor: take clients in on this listening socket, to test them

Without a listener the `servers` of the spec are tested.

The suite's own command, wstest, is not used, because it listens on every interface, can't tell
which free port it took, and writes no report if it is stopped.
"""

import json
import platform
import site
import socket
import sys

sys.path.insert(0, sys.argv[1])
site.addsitedir(sys.argv[1])  # zope.interface needs its .pth file

# This one first: it chooses the reactor.
from autobahntestsuite import choosereactor  # noqa: F401, I001
import autobahn
import autobahntestsuite
import twisted
from autobahn.websocket.utf8validator import Utf8Validator
from autobahn.websocket.xormasker import XorMaskerNull
from autobahntestsuite import fuzzing
from twisted.internet import reactor


def describe():
    prefix = len(fuzzing.CaseBasename)
    return {
        "versions": {
            "autobahntestsuite": autobahntestsuite.version,
            "autobahn": autobahn.version,
            "twisted": twisted.__version__,
            "python": platform.python_version(),
        },
        "compiled": all("wsaccel" in c.__module__ for c in (Utf8Validator, XorMaskerNull)),
        "sections": fuzzing.CaseCategories,
        "cases": [case.__name__[prefix:].replace("_", ".") for case in fuzzing.Cases],
    }


def run(spec):
    # The suite writes its reports when the last case is done or a client asks for it. Once, at
    # the end of the process, is enough, and happens also when we are told to stop half way.
    write_reports = fuzzing.FuzzingFactory.createReports
    fuzzing.FuzzingFactory.createReports = lambda self: None
    if "listener" in spec:
        factory = fuzzing.FuzzingServerFactory(spec)
        reactor.adoptStreamPort(spec["listener"], socket.AF_INET, factory)
    else:
        factory = fuzzing.FuzzingClientFactory(spec)
    reactor.addSystemEventTrigger("before", "shutdown", write_reports, factory)
    reactor.callLater(spec["limit"], reactor.stop)
    reactor.run()


if sys.argv[2] == "describe":
    json.dump(describe(), sys.stdout)
else:
    with open(sys.argv[3]) as spec_file:
        run(json.load(spec_file))
