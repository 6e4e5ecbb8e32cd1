// A connection of the classic protocol, in the place of jquery.signalR: what the generated script and a page expect of it.
// transports.js and hubs.js beside this file complete it. It is strict where the stock clients are forgiving: whatever it does
// not understand is an error on the page.
(function ($, window) {
    "use strict";

    var states = { connecting: 0, connected: 1, reconnecting: 2, disconnected: 4 };
    var events = ["starting", "received", "stateChanged", "reconnecting", "reconnected", "disconnected", "error"];
    var protocol = "2.1";
    var reconnectDelay = 2000;
    var order = ["webSockets", "serverSentEvents", "foreverFrame", "longPolling"];

    function Connection(url) {
        var connection = this;
        connection.url = url;
        connection.state = states.disconnected;
        connection.data = "[]";
        connection.lastError = null;
        connection._callbacks = {};
        $.each(events, function (index, name) { connection._callbacks[name] = $.Callbacks(); });
    }

    $.each(events, function (index, name) {
        Connection.prototype[name] = function (callback) {
            this._callbacks[name].add(callback);
            return this;
        };
    });

    Connection.prototype._fire = function (name) {
        this._callbacks[name].fireWith(this, $.makeArray(arguments).slice(1));
    };

    Connection.prototype._changeState = function (next) {
        var previous = this.state;
        if (previous === next) { return; }
        this.state = next;
        this._fire("stateChanged", { oldState: previous, newState: next });
    };

    Connection.prototype._fail = function (error) {
        this.lastError = error;
        this._fire("error", error);
    };

    // MARK: Addresses

    Connection.prototype._query = function (more) {
        return $.param($.extend({
            transport: this.transport.name, clientProtocol: protocol,
            connectionToken: this.token, connectionData: this.data
        }, more));
    };

    Connection.prototype._address = function (what) {
        return this.url + "/" + what + "?" + this._query();
    };

    // The path of receive requests is the one that negotiate tells; that of all others, the page's.
    Connection.prototype._receiveAddress = function (what, more) {
        var base = new window.URL(this.url, window.location.href).origin + this.appRelativeUrl;
        return base + "/" + what + "?" + this._query($.extend({ tid: Math.floor(Math.random() * 11) }, more));
    };

    // What a receive request after the first brings along.
    Connection.prototype._position = function () {
        return this.groupsToken ? { messageId: this.messageId, groupsToken: this.groupsToken } : { messageId: this.messageId };
    };

    // MARK: Start

    // Resolved with the connection once it is connected. `options.transport` is a name, a list of names, or "auto".
    Connection.prototype.start = function (options) {
        var connection = this;
        if (connection._starting) { return connection._starting.promise(); }
        var wanted = options && options.transport && options.transport !== "auto" ? $.makeArray(options.transport) : order;
        var starting = connection._starting = $.Deferred();
        connection._buffered = [];
        connection._started = false;
        connection.messageId = connection.groupsToken = null;
        connection._changeState(states.connecting);
        connection._fire("starting");
        $.getJSON(connection.url + "/negotiate", { clientProtocol: protocol, connectionData: connection.data })
            .done(function (answer) {
                if ($.inArray(answer.ProtocolVersion, ["1.5", "2.0", "2.1"]) < 0 || answer.availableTransports) {
                    return connection._giveUp("Not a server of this protocol: " + answer.ProtocolVersion);
                }
                connection.id = answer.ConnectionId;
                connection.token = answer.ConnectionToken;
                connection.appRelativeUrl = answer.Url;
                connection.transportConnectTimeout = answer.TransportConnectTimeout * 1000;
                connection.disconnectTimeout = answer.DisconnectTimeout * 1000;
                connection.keepAliveTimeout = answer.KeepAliveTimeout && answer.KeepAliveTimeout * 1000;
                connection._try($.grep(wanted, function (name) {
                    return name !== "webSockets" || answer.TryWebSockets;
                }));
            })
            .fail(function (request) { connection._giveUp("Error during negotiation request: " + request.status); });
        return starting.promise();
    };

    Connection.prototype._giveUp = function (text) {
        var starting = this._starting;
        var error = new Error(text);
        this._fail(error);
        this.stop(true);
        starting.reject(error);
    };

    // The first of the transports called `names` that becomes ready in time.
    Connection.prototype._try = function (names) {
        var connection = this;
        if (names.length === 0) { return connection._giveUp("No transport could be initialized successfully."); }
        var transport = connection.transport = $.signalR.transports[names[0]];
        var attempt = connection._attempt = $.Deferred();
        var patience = window.setTimeout(attempt.reject, connection.transportConnectTimeout);
        attempt.always(function () { window.clearTimeout(patience); })
            .done(function () { connection._callStart(); })
            .fail(function () {
                transport.stop(connection);
                connection._try(names.slice(1));
            });
        transport.open(connection, "connect", {});
    };

    Connection.prototype._callStart = function () {
        var connection = this;
        $.getJSON(connection._address("start"))
            .done(function (answer) {
                if (answer.Response !== "started") { return connection._giveUp("Error during start request."); }
                connection._started = true;
                connection._changeState(states.connected);
                connection._watch();
                var waiting = connection._buffered;
                connection._buffered = [];
                $.each(waiting, function (index, message) { connection._fire("received", message); });
                connection._starting.resolve(connection);
            })
            .fail(function (request) { connection._giveUp("Error during start request: " + request.status); });
    };

    // MARK: Receiving

    // Takes an envelope, a result or a keep-alive.
    Connection.prototype._take = function (value) {
        var connection = this;
        connection._heardAt = Date.now();
        if ($.isEmptyObject(value)) { return; }
        if (value.I !== undefined) { return connection._fire("received", value); }
        if (!$.isArray(value.M)) { throw new Error("neither an envelope nor a result: " + JSON.stringify(value)); }
        if (value.E) {
            connection._fail(new Error(value.E));
            return connection.stop(true);
        }
        connection.messageId = value.C || connection.messageId;
        connection.groupsToken = value.G || connection.groupsToken;
        $.each(value.M, function (index, message) {
            if (connection._started) { connection._fire("received", message); } else { connection._buffered.push(message); }
        });
        if (value.S) { connection._attempt.resolve(); }
    };

    Connection.prototype.send = function (text) {
        return this.transport.send(this, text);
    };

    // MARK: Loss and return

    // The receive channel is gone, and the server may not know.
    Connection.prototype._lost = function () {
        var connection = this;
        if (connection.state === states.disconnected) { return; }
        if (connection.state === states.connecting) {
            if (connection._attempt.state() === "pending") { return connection._attempt.reject(); }
            return connection._giveUp("The connection was lost during the start request.");
        }
        connection.transport.stop(connection);
        connection._depart();
        connection._again = window.setTimeout(function () {
            if (connection._isTooLate()) { return connection.stop(true); }
            connection.transport.open(connection, "reconnect", connection._position());
        }, connection.transport.reconnectDelay || reconnectDelay);
    };

    Connection.prototype._depart = function () {
        if (this.state !== states.connected) { return; }
        this._lostAt = Date.now();
        this._changeState(states.reconnecting);
        this._fire("reconnecting");
    };

    Connection.prototype._isTooLate = function () {
        return Date.now() - this._lostAt > this.disconnectTimeout + (this.keepAliveTimeout || 0);
    };

    // The receive channel is open again.
    Connection.prototype._returned = function () {
        this._heardAt = Date.now();
        if (this.state !== states.reconnecting) { return; }
        this._changeState(states.connected);
        this._fire("reconnected");
    };

    // Takes silence for loss, where the server promised to give signs of life.
    Connection.prototype._watch = function () {
        var connection = this;
        connection._heardAt = Date.now();
        if (!connection.keepAliveTimeout || !connection.transport.showsLife) { return; }
        connection._watching = window.setInterval(function () {
            var isSilent = Date.now() - connection._heardAt > connection.keepAliveTimeout;
            if (isSilent && connection.state === states.connected) { connection._lost(); }
        }, connection.keepAliveTimeout / 9);
    };

    // MARK: Stop

    Connection.prototype.stop = function (isKnownToServer) {
        if (this.state === states.disconnected) { return this; }
        window.clearInterval(this._watching);
        window.clearTimeout(this._again);
        this._started = false;
        this._starting = null;
        this._changeState(states.disconnected);
        if (this.transport) {
            this.transport.stop(this);
            if (!isKnownToServer) { $.post(this._address("abort")); }
        }
        this._fire("disconnected");
        return this;
    };

    // As the stock clients do: cookies go along to other origins too.
    $.ajaxSetup({ xhrFields: { withCredentials: true } });
    $.signalR = $.connection = function (url) { return new Connection(url); };
    $.extend($.signalR, { Connection: Connection, connectionState: states, transports: {} });
}(window.jQuery, window));
