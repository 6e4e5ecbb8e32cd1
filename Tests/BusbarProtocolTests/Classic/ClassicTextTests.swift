import BusbarProtocol
import NIOCore
import Testing

@Suite("Classic versions, callbacks and script")
struct ClassicTextTests {
    @Test(
        "classic 18: the answered version is the client's own, kept within 1.2 and 2.0",
        arguments: [
            (nil, "1.2"), (".8", "1.2"), ("abc", "1.2"), ("1.4", "1.4"), ("1.2.5", "1.2.5"), ("1.9", "1.9"),
            ("9.0", "2.0"),
            ("2", "1.2"), ("", "1.2"), ("1.1", "1.2"), ("2.0.0", "2.0"), ("2.1", "2.0"), ("01.05", "1.5"),
            ("1.5.", "1.2"),
            ("1.3.4.5", "1.3.4.5"), ("1.3.4.5.6", "1.2"), ("1.99999999999", "1.2"), ("-1.5", "1.2"), ("1.+5", "1.2"),
            ("1. 5", "1.2"),
        ] as [(String?, String)]
    )
    func resolvedVersion(asked: String?, answered: String) {
        #expect(ClassicVersion.resolve(asked, maximum: ClassicVersion(2, 0)).description == answered)
    }

    @Test("classic 2.3, T1: every generation's own version is echoed up to 2.1, and from 1.4 on the start is delayed")
    func generations() {
        for version in ["1.2", "1.3", "1.4", "1.5", "2.0", "2.1"] {
            let resolved = ClassicVersion.resolve(version)
            #expect(resolved.description == version)
            #expect(resolved.isDelayedStart == (version >= "1.4"))
            #expect(resolved.sendsPollInBody == (version >= "1.5"))
        }
        #expect(ClassicVersion.resolve("2.2").description == "2.1")
        #expect(!ClassicVersion.resolve(nil).isDelayedStart)
    }

    @Test(
        "classic 14: a path of identifiers is a valid callback",
        arguments: ["foo", "foo.bar._baz", "$x", "jQuery182_13", "ۄۺڹ.bar", "classy", "Enum"]
    )
    func validCallback(name: String) {
        #expect(JSONPCallback.isValid(name))
    }

    @Test(
        "classic 15: anything else is refused",
        arguments: [
            "1nogood", "<yeahright>", "(function(){})", "enum", "bar.class.foo", "foo.", "", " ", ".foo", "a..b", "a b",
            "a;b", "NaN", "x.undefined", "Infinity", "a\u{2028}", "a-b", "alert(1)//", "\u{0}",
            String(repeating: "a", count: 513),
        ]
    )
    func invalidCallback(name: String) {
        #expect(!JSONPCallback.isValid(name))
    }

    @Test("classic 6: the script names hubs and methods sorted, in lower case first, with their real names to call")
    func script() throws {
        let hubs = [
            ClassicScript.Hub(
                name: "ChatHub",
                methods: [.init(name: "Send"), .init(name: "JoinRoom"), .init(name: "Send"), .init(name: "odd-name")]
            ),
            ClassicScript.Hub(name: "Alpha", scriptName: "Named", methods: []),
        ]
        let text = String(buffer: ClassicScript.render(hubs: hubs, baseURL: "/signalr\"</script>"))
        #expect(
            text.contains(
                """
                        proxies["Named"] = proxyOf(this, "Named", []);
                        proxies["chatHub"] = proxyOf(this, "chatHub", [
                            ["joinRoom", "JoinRoom"],
                            ["send", "Send"],
                            ["odd-name", "odd-name"]
                        ]);
                """))
        #expect(text.contains(#"$.hubConnection("/signalr\"\u003c/script>", { useDefaultPath: false });"#))
        #expect(!text.contains("</script>"))
        let lines = text.split(separator: "\n")
        let starting = try #require(lines.firstIndex { $0.contains("this.starting(") })
        let creation = try #require(lines.firstIndex { $0.contains("proxies[\"Named\"]") })
        #expect(starting < creation)
    }

    @Test("classic 3: a script that is switched off throws")
    func disabledScript() {
        #expect(String(buffer: ClassicScript.disabled).hasPrefix("throw new Error("))
    }
}
