// The four transports. Each opens a receive channel with `open(connection, what, more)`, where `what` is "connect" or "reconnect",
// closes it with `stop`, and sends a text with `send`, whose promise is rejected when the text cannot have arrived.
(function ($, window) {
    "use strict";

    var transports = $.signalR.transports;

    // A call by a request of its own; its answer is the result.
    function post(connection, text) {
        return $.ajax({ url: connection._address("send"), type: "POST", data: { data: text }, dataType: "text" }).then(
            function (answer) { if (answer) { connection._take(JSON.parse(answer)); } },
            function (request) { return $.Deferred().reject(new Error("Send failed: " + request.status)); });
    }

    transports.webSockets = {
        name: "webSockets",
        showsLife: true,
        losesCalls: true,
        open: function (connection, what, more) {
            var address = connection._receiveAddress(what, more).replace(/^http/, "ws");
            var socket = connection._socket = new window.WebSocket(address);
            socket.onopen = function () { connection._returned(); };
            socket.onmessage = function (event) { connection._take(JSON.parse(event.data)); };
            socket.onclose = function () { if (connection._socket === socket) { connection._lost(); } };
        },
        send: function (connection, text) {
            connection._socket.send(text);
            return $.Deferred().resolve();
        },
        stop: function (connection) {
            var socket = connection._socket;
            connection._socket = null;
            if (socket) { socket.close(); }
        }
    };

    transports.serverSentEvents = {
        name: "serverSentEvents",
        showsLife: true,
        open: function (connection, what, more) {
            var address = connection._receiveAddress(what, more);
            var source = connection._source = new window.EventSource(address, { withCredentials: true });
            source.onopen = function () { connection._returned(); };
            source.onmessage = function (event) {
                if (event.data !== "initialized") { connection._take(JSON.parse(event.data)); }
            };
            source.onerror = function () { if (connection._source === source) { connection._lost(); } };
        },
        send: post,
        stop: function (connection) {
            var source = connection._source;
            connection._source = null;
            if (source) { source.close(); }
        }
    };

    // The document in the frame is the server's; it finds this transport by name and calls what stands in the first block.
    transports.foreverFrame = {
        getConnection: function (id) { return transports.foreverFrame._connections[id]; },
        receive: function (connection, value) { connection._take(value); },
        started: function (connection) { connection._returned(); },

        name: "foreverFrame",
        showsLife: true,
        _connections: {},
        _count: 0,
        open: function (connection, what, more) {
            var id = connection._frameId = connection._frameId || String(transports.foreverFrame._count += 1);
            var address = connection._receiveAddress(what, $.extend({ frameId: id }, more));
            var frame = connection._frame = $("<iframe>").hide().attr("src", address)[0];
            transports.foreverFrame._connections[id] = connection;
            // A document that has been loaded is one that has ended.
            frame.onload = function () { if (connection._frame === frame) { connection._lost(); } };
            $("body").append(frame);
        },
        send: post,
        stop: function (connection) {
            var frame = connection._frame;
            connection._frame = null;
            delete transports.foreverFrame._connections[connection._frameId];
            if (frame) { $(frame).remove(); }
        }
    };

    transports.longPolling = {
        name: "longPolling",
        reconnectDelay: 3000,
        open: function (connection, what, more) {
            // Nothing tells that a poll is being waited on but that it has not failed: longer each time it did.
            connection._failures = what === "reconnect" ? (connection._failures || 0) + 1 : 0;
            connection._hope = what === "reconnect" && window.setTimeout(function () {
                connection._returned();
            }, (Math.pow(2, connection._failures) - 1) * 1000);
            transports.longPolling._poll(connection, what, more);
        },
        _poll: function (connection, what, more) {
            var request = connection._poll = $.ajax({
                url: connection._receiveAddress(what), type: "POST", data: more, dataType: "text"
            });
            request
                .done(function (text) {
                    if (connection._poll !== request) { return; }
                    var answer = JSON.parse(text);
                    connection._failures = 0;
                    connection._returned();
                    connection._take(answer);
                    if (answer.T) { connection._depart(); }
                    window.setTimeout(function () {
                        if (connection._poll !== request) { return; }
                        if (answer.T) { return transports.longPolling.open(connection, "reconnect", connection._position()); }
                        transports.longPolling._poll(connection, "poll", connection._position());
                    }, answer.L || 0);
                })
                .fail(function () { if (connection._poll === request) { connection._lost(); } });
        },
        send: post,
        stop: function (connection) {
            var request = connection._poll;
            window.clearTimeout(connection._hope);
            connection._poll = null;
            if (request) { request.abort(); }
        }
    };
}(window.jQuery, window));
