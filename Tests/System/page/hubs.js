// Hubs over a connection: proxies, calls with result, error and progress, state that travels with calls.
(function ($, window) {
    "use strict";

    var Connection = $.signalR.Connection;

    function HubProxy(connection, name) {
        this.connection = connection;
        this.hubName = name.toLowerCase();
        this.state = {};
        this._handlers = {};
    }

    // `handler` goes by `identity` when it is taken off again, if one is given.
    HubProxy.prototype.on = function (method, handler, identity) {
        var key = method.toLowerCase();
        (this._handlers[key] = this._handlers[key] || []).push({ call: handler, identity: identity || handler });
        return this;
    };

    HubProxy.prototype.off = function (method, handler, identity) {
        var key = method.toLowerCase();
        this._handlers[key] = $.grep(this._handlers[key] || [], function (each) {
            return each.identity !== (identity || handler);
        });
        if (this._handlers[key].length === 0) { delete this._handlers[key]; }
        return this;
    };

    HubProxy.prototype.invoke = function (method) {
        var connection = this.connection;
        var id = connection._calls += 1;
        var call = { H: this.hubName, M: method, A: $.map($.makeArray(arguments).slice(1), asArgument), I: id };
        var pending = connection._pending[id] = { hub: this, answer: $.Deferred() };
        if (!$.isEmptyObject(this.state)) { call.S = this.state; }
        if (connection.state !== $.signalR.connectionState.connected) {
            finish(connection, id).reject(new Error("The connection is not there yet, or no more."));
        } else {
            connection.send(JSON.stringify(call)).fail(function (error) {
                if (connection._pending[id]) { finish(connection, id).reject(error); }
            });
        }
        return pending.answer.promise();
    };

    // Why in a list: $.map flattens lists and leaves out null.
    function asArgument(value) {
        return [value === undefined || typeof value === "function" ? null : value];
    }

    function finish(connection, id) {
        var pending = connection._pending[id];
        delete connection._pending[id];
        return pending.answer;
    }

    function HubConnection(url) {
        Connection.call(this, url);
        this.proxies = {};
        this._calls = -1;
        this._pending = {};
        this.received(function (value) {
            if (value.P) { return this._progressed(value); }
            if (value.I !== undefined) { return this._answered(value); }
            this._called(value);
        });
        this.reconnecting(function () {
            if (this.transport.losesCalls) { this._rejectAll("The connection was lost."); }
        });
        this.disconnected(function () { this._rejectAll("The connection has ended."); });
    }

    HubConnection.prototype = Object.create(Connection.prototype);

    // As in the stock clients: what is listed are the hubs that have a handler when this callback runs.
    HubConnection.prototype._registerSubscribedHubs = function () {
        if (this._listsHubs) { return; }
        this._listsHubs = true;
        this.starting(function () {
            var listed = $.grep($.map(this.proxies, function (proxy) { return proxy; }), function (proxy) {
                return !$.isEmptyObject(proxy._handlers);
            });
            this.data = JSON.stringify($.map(listed, function (proxy) { return { name: proxy.hubName }; }));
        });
    };

    HubConnection.prototype.createHubProxy = function (name) {
        var key = name.toLowerCase();
        this.proxies[key] = this.proxies[key] || new HubProxy(this, name);
        this._registerSubscribedHubs();
        return this.proxies[key];
    };

    HubConnection.prototype._rejectAll = function (text) {
        var connection = this;
        $.each($.extend({}, connection._pending), function (id) { finish(connection, id).reject(new Error(text)); });
    };

    HubConnection.prototype._progressed = function (value) {
        var pending = this._pending[value.P.I];
        // Over requests the result comes by another way, which may be the shorter one.
        if (pending) { pending.answer.notify(value.P.D); }
    };

    HubConnection.prototype._answered = function (value) {
        var pending = this._pending[value.I];
        // One of before the connection was lost is none of ours any more.
        if (!pending) { return; }
        $.extend(pending.hub.state, value.S);
        var answer = finish(this, value.I);
        if (value.E === undefined) { return answer.resolve(value.R); }
        var error = new Error(value.E);
        error.source = value.H ? "HubException" : "Exception";
        error.data = value.D;
        answer.reject(error);
    };

    HubConnection.prototype._called = function (value) {
        var proxy = this.proxies[value.H.toLowerCase()];
        $.extend(proxy.state, value.S);
        $.each(proxy._handlers[value.M.toLowerCase()] || [], function (index, handler) {
            handler.call.apply(proxy, value.A);
        });
    };

    $.hubConnection = function (url) { return new HubConnection(url); };
    $.hubConnection.prototype = HubConnection.prototype;
}(window.jQuery, window));
