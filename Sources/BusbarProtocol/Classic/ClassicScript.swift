package import NIOCore

/// The script that gives a page one object per hub, with a function per hub method.
package enum ClassicScript {
    /// What the script says about one hub.
    package struct Hub: Hashable, Sendable {
        /// The real name; connections are subscribed by it.
        package var name: String
        /// What the page calls it; nil = the name with its first letter in lower case.
        package var scriptName: String?
        package var methods: [Method]

        package init(name: String, scriptName: String? = nil, methods: [Method]) {
            self.name = name
            self.scriptName = scriptName
            self.methods = methods
        }
    }

    /// What the script says about one hub method.
    package struct Method: Hashable, Sendable {
        /// The real name, sent with every call.
        package var name: String
        /// What the page calls it; nil = the name with its first letter in lower case.
        package var scriptName: String?

        package init(name: String, scriptName: String? = nil) {
            self.name = name
            self.scriptName = scriptName
        }
    }

    /// What is served instead when the script is switched off.
    package static let disabled = ByteBuffer(
        string: "throw new Error('SignalR: JavaScript Hub proxy generation has been disabled.');"
    )

    /// The script for `hubs`, sorted by name; methods of the same name become one function.
    /// - Parameter baseURL: path of the endpoint without a trailing slash, e.g. `/signalr`.
    package static func render(hubs: [Hub], baseURL: String) -> ByteBuffer {
        var script = ByteBuffer()
        script.writeStaticString(Self.opening)
        for hub in hubs.sorted(by: { $0.name < $1.name }) {
            Self.write(hub, into: &script)
        }
        script.writeStaticString(Self.middle)
        Self.writeLiteral(baseURL, into: &script)
        script.writeStaticString(Self.closing)
        return script
    }

    private static func write(_ hub: Hub, into script: inout ByteBuffer) {
        let name = hub.scriptName ?? Self.lowerFirst(hub.name)
        script.writeStaticString("        proxies[")
        Self.writeLiteral(name, into: &script)
        script.writeStaticString("] = proxyOf(this, ")
        Self.writeLiteral(name, into: &script)
        script.writeStaticString(", [")
        var seen: Set<String> = []
        var separator: StaticString = "\n"
        for method in hub.methods.sorted(by: { $0.name < $1.name }) {
            let name = method.scriptName ?? Self.lowerFirst(method.name)
            guard seen.insert(name).inserted else { continue }
            script.writeStaticString(separator)
            separator = ",\n"
            script.writeStaticString("            [")
            Self.writeLiteral(name, into: &script)
            script.writeStaticString(", ")
            Self.writeLiteral(method.name, into: &script)
            script.writeInteger(UInt8(ascii: "]"))
        }
        script.writeStaticString(seen.isEmpty ? "]);\n" : "\n        ]);\n")
    }

    /// Why: every name is a quoted literal, so none has to be a valid identifier, and `<` cannot end a script element.
    private static func writeLiteral(_ text: String, into script: inout ByteBuffer) {
        var literal = ByteBuffer()
        literal.writeJSONString(text)
        for part in literal.readableBytesView.split(separator: UInt8(ascii: "<"), omittingEmptySubsequences: false)
            .enumerated()
        {
            if part.offset > 0 { script.writeStaticString("\\u003c") }
            script.writeBytes(part.element)
        }
    }

    private static func lowerFirst(_ name: String) -> String {
        name.prefix(1).lowercased() + name.dropFirst()
    }

    private static let opening: StaticString = """
        (function ($, window) {
            "use strict";

            if (!$ || typeof $.signalR !== "function") {
                throw new Error("Busbar: load jQuery and the SignalR client script before the hubs script.");
            }

            var signalR = $.signalR;

            // One expression makes every wrapper: clients before 2.4 tell handlers apart by their source text.
            function wrapperOf(hub, handler) {
                return function () {
                    // Call the client hub method
                    handler.apply(hub, $.makeArray(arguments));
                };
            }

            function subscribe(proxies, attached) {
                $.each(proxies, function (key, hub) {
                    attached[key] = [];
                    $.each(hub.client, function (name, handler) {
                        if (Object.prototype.hasOwnProperty.call(hub.client, name) && typeof handler === "function") {
                            var wrapper = wrapperOf(hub, handler);
                            attached[key].push({ name: name, wrapper: wrapper, handler: handler });
                            hub.on(name, wrapper, handler);
                        }
                    });
                });
            }

            function unsubscribe(proxies, attached) {
                $.each(proxies, function (key, hub) {
                    $.each(attached[key] || [], function (index, entry) {
                        hub.off(entry.name, entry.wrapper, entry.handler);
                    });
                    attached[key] = [];
                });
            }

            function serverOf(hub, methods) {
                var server = {};
                $.each(methods, function (index, names) {
                    server[names[0]] = function () {
                        return hub.invoke.apply(hub, $.merge([names[1]], $.makeArray(arguments)));
                    };
                });
                return server;
            }

            function proxyOf(connection, name, methods) {
                var hub = connection.createHubProxy(name);
                hub.client = {};
                hub.server = serverOf(hub, methods);
                return hub;
            }

            $.hubConnection.prototype.createHubProxies = function () {
                var proxies = {};
                var attached = {};

                // Before any proxy exists: creating one adds the callback that lists the hubs with handlers.
                this.starting(function () {
                    subscribe(proxies, attached);
                    this._registerSubscribedHubs();
                }).disconnected(function () {
                    unsubscribe(proxies, attached);
                });


        """

    private static let middle: StaticString = """

                return proxies;
            };

            signalR.hub = $.hubConnection(
        """

    private static let closing: StaticString = """
        , { useDefaultPath: false });
            $.extend(signalR, signalR.hub.createHubProxies());
        }(window.jQuery, window));

        """
}
