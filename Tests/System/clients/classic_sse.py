"""`signalr-client` 0.0.7 over server-sent events; all else as in `classic.py`.

The client takes the first of its transports that accepts what the server offers. It has no setting for that.
"""

from gevent import monkey

monkey.patch_all()

from signalr.transports._ws_transport import WebSocketsTransport

WebSocketsTransport.accept = lambda self, negotiated: False

import classic
