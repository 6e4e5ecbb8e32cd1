import BusbarHub
import Synchronization
import Testing

extension ItemKey where Value == String {
    fileprivate static var displayName: Self { ItemKey("displayName") }
}

extension ItemKey where Value == Int {
    fileprivate static var count: Self { ItemKey("count") }
    fileprivate static var displayName: Self { ItemKey("displayName") }
}

@Suite("A connection as its hubs see it")
struct ConnectionContextTests {
    @Test("items survive calls, by name and type")
    func items() {
        let context = ConnectionContext.make()
        #expect(context.items[ItemKey<String>.displayName] == nil)
        context.items[.displayName] = "Bob"
        #expect(context.items[ItemKey<String>.displayName] == "Bob")
        #expect(context.items[ItemKey<Int>.displayName] == nil)
        context.items[ItemKey<String>.displayName] = nil
        #expect(context.items[ItemKey<String>.displayName] == nil)
    }

    @Test("looking at an item as another type leaves it alone")
    func lookingIsHarmless() {
        let context = ConnectionContext.make()
        context.items[.displayName] = "Bob"
        _ = context.items[ItemKey<Int>.displayName]
        #expect(context.items[ItemKey<String>.displayName] == "Bob")
    }

    @Test("an item changes in one step, whoever else changes it")
    func update() async {
        let context = ConnectionContext.make()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask { context.items.update(.count) { $0 = ($0 ?? 0) + 1 } }
            }
        }
        #expect(context.items[.count] == 100)
    }

    @Test("abort ends the connection once, and everybody who waits for that goes on")
    func abort() async {
        let context = ConnectionContext.make()
        let calls = Mutex(0)
        context.onAbort { calls.withLock { $0 += 1 } }
        #expect(!context.isAborted)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<3 { group.addTask { await context.aborted() } }
            group.addTask {
                context.abort()
                context.abort()
            }
        }
        #expect(context.isAborted)
        #expect(calls.withLock { $0 } == 1)
        await context.aborted()
    }

    @Test("an abort before the runtime listens is not lost")
    func earlyAbort() {
        let context = ConnectionContext.make()
        context.abort()
        let calls = Mutex(0)
        context.onAbort { calls.withLock { $0 += 1 } }
        #expect(calls.withLock { $0 } == 1)
    }

    @Test("a connection that ended by itself has nothing left to abort")
    func ended() {
        let context = ConnectionContext.make()
        let calls = Mutex(0)
        context.onAbort { calls.withLock { $0 += 1 } }
        #expect(context.end())
        #expect(!context.end())
        context.abort()
        #expect(calls.withLock { $0 } == 0)
        #expect(context.isAborted)
    }

    @Test("waiting for the end stops when the waiter is cancelled")
    func cancelledWait() async {
        let context = ConnectionContext.make()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await context.aborted() }
            group.cancelAll()
        }
        #expect(!context.isAborted)
    }

    @Test("a classic connection that is back has the newer request")
    func reconnected() {
        let context = ConnectionContext.make()
        context.reconnected(request: ConnectionRequest(path: "/reconnect"), transport: .longPolling)
        #expect(context.request.path == "/reconnect")
        #expect(context.transport == .longPolling)
    }
}

@Suite("The request of a connection")
struct ConnectionRequestTests {
    @Test("names ignore case; repeated ones are joined, or listed")
    func names() {
        let values = NamedValues([("Host", "h"), ("X-A", "1"), ("x-a", "2"), ("empty", "")])
        #expect(values["host"] == "h")
        #expect(values["X-a"] == "1,2")
        #expect(values.values(of: "X-A") == ["1", "2"])
        #expect(values["empty"] == "")
        #expect(values["missing"] == nil)
        #expect(values["hos"] == nil)
        #expect(values.count == 4)
        #expect(values.pairs.map(\.name) == ["Host", "X-A", "x-a", "empty"])
        #expect(values.pairs.map(\.value) == ["h", "1", "2", ""])
    }

    @Test("names and values may be any text")
    func anyText() {
        let values = NamedValues([("ü", "\0"), ("", "nameless"), ("long", String(repeating: "é", count: 40_000))])
        #expect(values["ü"] == "\0")
        #expect(values[""] == "nameless")
        #expect(values["long"]?.count == 40_000)
        #expect(NamedValues().isEmpty)
    }

    @Test("cookies are read from every cookie header, and bad crumbs are skipped")
    func cookies() {
        let headers = NamedValues([("Cookie", #"a=1; b = "two" ;c;=x; d=e=f"#), ("cookie", "g=;a=3")])
        let cookies = ConnectionRequest(path: "/", headers: headers).cookies
        #expect(cookies["a"] == "1,3")
        #expect(cookies["B"] == "two")
        #expect(cookies["d"] == "e=f")
        #expect(cookies["g"] == "")
        #expect(cookies.count == 5)
    }
}
