import BusbarProtocol
import NIOCore
import Testing

@Suite("The generated script in a page")
struct PageScriptTests {
    private let hubs = [
        ClassicScript.Hub(name: "StockTicker", methods: [.init(name: "GetAll")]),
        ClassicScript.Hub(
            name: "ChatHub",
            methods: [.init(name: "Send"), .init(name: "JoinRoom"), .init(name: "Raw", scriptName: "Raw")]),
        ClassicScript.Hub(name: "Named.Not", scriptName: "Verbatim", methods: []),
    ]

    @Test("§6 hubs and functions have their names with a lower-case initial, given ones are verbatim, all sorted")
    func names() throws {
        let output = try PageScript.run(
            self.hubs,
            page: """
                print(Object.keys($.connection).filter((key) => $.connection[key].server));
                print(Object.keys($.connection.chatHub.server));
                print([$.connection.chatHub.hubName, $.connection.chatHub.state, $.connection.chatHub.client]);
                print([$.connection.hub.url, $.connection.hub.options, $.signalR.hub === $.connection.hub]);
                """)
        #expect(
            output == """
                ["chatHub","Verbatim","stockTicker"]
                ["joinRoom","Raw","send"]
                ["chathub",{},{}]
                ["/signalr",{"useDefaultPath":false},true]
                """)
    }

    @Test("§6 the page contract: a handler, start, a call; the handler's this is the proxy")
    func contract() throws {
        let output = try PageScript.run(
            self.hubs,
            page: """
                const chat = $.connection.chatHub;
                chat.client.messageReceived = function (text, more) { print([this === chat, text, more]); };
                chat.client.count = 7;
                $.connection.hub.start();
                print($.connection.hub.data);
                chat.server.send("hello", { a: 1 }, undefined).then((name) => {
                    print(name);
                    print($.connection.hub.calls);
                    print($.connection.hub.receive("CHATHUB", "MessageReceived", "hi", 2));
                });
                """)
        #expect(
            output == """
                "[{\\"name\\":\\"chathub\\"}]"
                "Send"
                [["chathub","Send","hello",{"a":1},null]]
                [true,"hi",2]
                1
                """)
    }

    @Test("§6 handlers that come after start are not heard, nor inherited ones", arguments: [false, true])
    func lateHandlers(isOld: Bool) throws {
        let output = try PageScript.run(
            self.hubs,
            page: """
                $.connection.hub.isOld = \(isOld);
                const chat = $.connection.chatHub;
                chat.client = Object.create({ inherited: () => print("inherited") });
                $.connection.hub.start();
                chat.client.late = () => print("late");
                print([$.connection.hub.receive("ChatHub", "late"), $.connection.hub.receive("ChatHub", "inherited")]);
                print(JSON.parse($.connection.hub.data));
                """)
        #expect(output == "[0,0]\n[]")
    }

    @Test("§6 a restart doubles no handler, and takes those that were added meanwhile", arguments: [false, true])
    func restart(isOld: Bool) throws {
        let output = try PageScript.run(
            self.hubs,
            page: """
                const hub = $.connection.hub, chat = $.connection.chatHub;
                hub.isOld = \(isOld);
                let heard = 0;
                chat.client.m = () => { heard += 1; };
                for (let round = 0; round < 3; round += 1) { hub.start(); hub.receive("chathub", "m"); hub.stop(); }
                chat.client.n = () => { heard += 100; };
                print(hub.receive("chathub", "m"));
                hub.start();
                hub.receive("chathub", "m");
                hub.receive("chathub", "n");
                print(heard);
                """)
        #expect(output == "0\n104")
    }

    @Test("§6 createHubProxies is a method of every connection, and connections share no proxy")
    func ownConnection() throws {
        let output = try PageScript.run(
            self.hubs,
            page: """
                const other = $.hubConnection("/other", {});
                const proxies = other.createHubProxies();
                proxies.chatHub.client.m = () => print("other");
                $.connection.chatHub.client.m = () => print("own");
                other.start();
                $.connection.hub.start();
                other.receive("chathub", "m");
                proxies.chatHub.server.joinRoom("r");
                print([other.calls, $.connection.hub.calls]);
                """)
        #expect(output == "\"other\"\n[[[\"chathub\",\"JoinRoom\",\"r\"]],[]]")
    }

    @Test("§6 all wrappers have one source text, which newer clients recognise")
    func wrappers() throws {
        let output = try PageScript.run(
            self.hubs,
            page: """
                const chat = $.connection.chatHub;
                chat.client.a = () => {};
                chat.client.b = () => {};
                $.connection.hub.start();
                const texts = ["a", "b"].map((name) => chat.handlers[name][0].wrapper.toString());
                print([texts[0] === texts[1], texts[0].indexOf("// Call the client hub method") < 80]);
                print(chat.handlers.a[0].mark === chat.client.a);
                """)
        #expect(output == "[true,true]\ntrue")
    }

    @Test("§6 names that are no identifiers, and ones that would break out of the script, are names like others")
    func escaping() throws {
        let odd = #"!!!|\"'</script><!--"# + "\u{2028}"
        let hubs = [
            ClassicScript.Hub(
                name: odd, scriptName: odd,
                methods: [.init(name: odd), .init(name: "class"), .init(name: "__proto__"), .init(name: "1st")])
        ]
        let output = try PageScript.run(
            hubs, baseURL: "/a\"b</script>",
            page: """
                const odd = "!!!|\\\\\\"'</scr" + "ipt><!--\\u2028";
                const hub = $.connection[odd];
                hub.server[odd](1);
                hub.server["class"](2);
                hub.server["__proto__"](3);
                hub.server["1st"](4);
                print($.connection.hub.calls.map((call) => [call[1] === odd, call[2]]));
                print($.connection.hub.url);
                """)
        #expect(output == "[[true,1],[false,2],[false,3],[false,4]]\n\"/a\\\"b</script>\"")
    }

    @Test("§6 without the client library the script says what is missing")
    func missingLibrary() {
        let script = String(buffer: ClassicScript.render(hubs: [], baseURL: "/signalr"))
        for setting in ["", "window.jQuery = {};", "window.jQuery = { signalR: {} };"] {
            let failure = #expect(throws: PageScript.Failed.self) {
                try PageScript.run("const window = globalThis;" + setting + script)
            }
            #expect(failure?.description.contains("load jQuery and the SignalR client script") == true)
        }
    }

    @Test("classic 3: the script that is switched off throws")
    func disabled() {
        let failure = #expect(throws: PageScript.Failed.self) {
            try PageScript.run(String(buffer: ClassicScript.disabled))
        }
        #expect(failure?.description.contains("SignalR: JavaScript Hub proxy generation has been disabled.") == true)
    }
}
