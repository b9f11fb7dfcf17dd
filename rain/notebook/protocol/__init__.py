"""Everything that kernel and browser send each other, as types.

``frontend/src/protocol.ts`` is written from here by ``tools/protocol_ts.py`` (``make frontend``): a message is
described nowhere else. All are custom messages of a widget's comm. The browser asks (`requests`), the kernel answers
with the same number; what the kernel tells unasked are `requests.NEWS`::

    {"type": "<name>", "request": n, …}                    browser to kernel: one of the types of requests
    {"type": "reply", "request": n, "data": {…}}           kernel to browser, perhaps with buffers
    {"type": "reply", "request": n, "error": "text"}
    {"type": "push", "event": "<name>", "data": {…}}       kernel to browser, unasked

A **key** names what is visible: ``t5`` a task, ``o6`` an object (the numbers of their ids), ``g3`` a group,
``g3.0-99`` a part of a large group, ``t5.more`` the outputs of a task beyond the first ones. Requests take keys of
tasks and objects that are not visible too. Keys are ASCII letters, digits and ``/.#_-`` only.

Texts for people are written by the kernel: sizes, durations of what is over, labels. The browser writes only what goes
on while nothing is sent, such as clocks.
"""
