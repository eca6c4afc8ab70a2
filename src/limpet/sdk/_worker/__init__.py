"""The inside of a worker.

protocol.py   what to do on a start, a cancel, the end of a stream: plain values, no I/O
listener.py   the assignment stream, in a thread
heartbeat.py  signs of life, in a thread with a channel of its own
runner.py     runs attempts and says how they ended
threads.py    the pool in which sync functions run
reports.py    receipts and outcomes on their way to the engine
logs.py       log lines on their way to the engine
watchdog.py   notices a blocked event loop and names the task that blocks it
health.py     the health endpoint
session.py    one life of a worker, from registration to the end of the drain
"""
