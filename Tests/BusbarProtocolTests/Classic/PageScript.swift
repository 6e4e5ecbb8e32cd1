import BusbarProtocol
import Foundation
import NIOCore

/// Runs a page's script behind the generated one, in node, and returns what it has printed.
///
/// The page has what §6 of the protocol leaves to the client library: jQuery's array functions, and hub connections that
/// keep proxies, call `starting` and `disconnected` callbacks in the order of their registration, and list the hubs that
/// have handlers when they start. Handlers are found by identity where one is given, as clients from 2.4 on do it, or
/// else by the source text of the wrapper, as older ones do.
enum PageScript {
    struct Failed: Error, CustomStringConvertible { let description: String }

    static func run(_ hubs: [ClassicScript.Hub], baseURL: String = "/signalr", page: String) throws -> String {
        try Self.run(Self.library + String(buffer: ClassicScript.render(hubs: hubs, baseURL: baseURL)) + page)
    }

    static func run(_ source: String) throws -> String {
        let node = Process(), output = Pipe(), errors = Pipe()
        node.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        node.arguments = ["node", "-e", source]
        node.standardOutput = output
        node.standardError = errors
        try node.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let problem = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        node.waitUntilExit()
        guard node.terminationStatus == 0 else { throw Failed(description: problem) }
        return text.split(separator: "\n").joined(separator: "\n")
    }

    static let library = """
        const window = globalThis;
        const print = (value) => console.log(JSON.stringify(value));

        const jQuery = window.jQuery = window.$ = {
            makeArray: (list) => Array.prototype.slice.call(list),
            merge: (first, second) => { second.forEach((item) => first.push(item)); return first; },
            extend: (target, ...sources) => {
                sources.forEach((source) => { for (const key in source) target[key] = source[key]; });
                return target;
            },
            each: (object, visit) => {
                if (Array.isArray(object)) object.forEach((item, index) => visit.call(item, index, item));
                else for (const key in object) visit.call(object[key], key, object[key]);
            },
        };
        jQuery.signalR = jQuery.connection = function () {};

        class Proxy {
            constructor(connection, name) {
                Object.assign(this, { connection, hubName: name, state: {}, handlers: {} });
            }
            on(name, wrapper, identity) {
                const key = name.toLowerCase();
                const known = this.handlers[key] = this.handlers[key] || [];
                const mark = this.connection.isOld ? wrapper.toString() : identity;
                if (!known.some((entry) => entry.mark === mark)) known.push({ mark, wrapper });
                return this;
            }
            off(name, wrapper, identity) {
                const key = name.toLowerCase();
                const mark = this.connection.isOld ? wrapper.toString() : identity;
                this.handlers[key] = (this.handlers[key] || []).filter((entry) => entry.mark !== mark);
                if (!this.handlers[key].length) delete this.handlers[key];
                return this;
            }
            invoke(name, ...values) {
                this.connection.calls.push([this.hubName, name, ...values]);
                return Promise.resolve(name);
            }
        }

        jQuery.hubConnection = function (url, options) { return new jQuery.hubConnection.prototype.init(url, options); };
        jQuery.hubConnection.prototype = {
            init: function (url, options) {
                Object.assign(this, { url, options, proxies: {}, calls: [], onStarting: [], onDisconnected: [] });
            },
            starting: function (callback) { this.onStarting.push(callback); return this; },
            disconnected: function (callback) { this.onDisconnected.push(callback); return this; },
            createHubProxy: function (name) {
                const key = name.toLowerCase();
                if (!Object.hasOwn(this.proxies, key)) this.proxies[key] = new Proxy(this, key);
                this._registerSubscribedHubs();
                return this.proxies[key];
            },
            _registerSubscribedHubs: function () {
                if (this.isListing) return;
                this.isListing = true;
                this.starting(function () {
                    const heard = Object.values(this.proxies).filter((hub) => Object.keys(hub.handlers).length);
                    this.data = JSON.stringify(heard.map((hub) => ({ name: hub.hubName })));
                });
            },
            start: function () { this.onStarting.forEach((callback) => callback.call(this)); return this; },
            stop: function () { this.onDisconnected.forEach((callback) => callback.call(this)); return this; },
            receive: function (hub, method, ...values) {
                const entries = this.proxies[hub.toLowerCase()].handlers[method.toLowerCase()] || [];
                entries.forEach((entry) => entry.wrapper.apply(this.proxies[hub.toLowerCase()], values));
                return entries.length;
            },
        };
        jQuery.hubConnection.prototype.init.prototype = jQuery.hubConnection.prototype;


        """
}
