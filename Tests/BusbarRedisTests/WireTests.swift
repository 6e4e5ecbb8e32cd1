import BusbarDriver
import BusbarRedis
import NIOCore
import Testing

@Suite("Redis's protocol")
struct WireTests {
    @Test("a command is an array of byte strings, whatever bytes they hold")
    func commands() {
        var arguments = CommandArguments("k", "")
        arguments.append(ByteBuffer(bytes: [0, 13, 10]), ByteBuffer(bytes: [255]))
        let command = arguments.command("SET")
        let expected = ByteBuffer(string: "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n$4\r\n")
        #expect(Array(command.readableBytesView) == Array(expected.readableBytesView) + [0, 13, 10, 255, 13, 10])
    }

    private static let wire =
        "+OK\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*3\r\n$1\r\nx\r\n*-1\r\n*1\r\n:1\r\n-ERR no\r\n*0\r\n$0\r\n\r\n"
    private static let replies: [RedisReply] = [
        .status("OK"), .integer(-7), .bulk(ByteBuffer(string: "a\r\n")), .null,
        .array([.bulk(ByteBuffer(string: "x")), .null, .array([.integer(1)])]), .error(RedisServerError("ERR no")),
        .array([]),
        .bulk(ByteBuffer()),
    ]

    @Test("replies are the same whether they come whole, byte by byte or in any two pieces")
    func replies() throws {
        let bytes = Array(Self.wire.utf8)
        for pieces in [[bytes], bytes.map { [$0] }] + bytes.indices.map({ [Array(bytes[..<$0]), Array(bytes[$0...])] })
        {
            let reader = ReplyReader(limitBytes: 1_000)
            var replies: [RedisReply] = []
            for piece in pieces {
                try reader.feed(ByteBuffer(bytes: piece))
                while let reply = try reader.next() { replies.append(reply) }
            }
            #expect(replies == Self.replies)
        }
    }

    @Test(
        "what is not the protocol is an error, not a trap",
        arguments: ["HTTP/1.1 400\r\n", "*x\r\n", "$-5\r\nabc", ":12x\r\n", String(repeating: "*1\r\n", count: 20)]
    )
    func nonsense(text: String) throws {
        let reader = ReplyReader(limitBytes: 1_000)
        try reader.feed(ByteBuffer(string: text))
        #expect(throws: RedisProtocolError.self) { while try reader.next() != nil {} }
    }

    @Test("an unfinished reply may not grow beyond the limit")
    func endlessReply() throws {
        let reader = ReplyReader(limitBytes: 1_000)
        try reader.feed(ByteBuffer(string: "$1000000\r\n" + String(repeating: "x", count: 2_000)))
        #expect(throws: RedisProtocolError.self) { _ = try reader.next() }
    }

    @Test(
        "errors are what they are: to be waited out, or hopeless",
        arguments: [
            ("OOM command not allowed when used memory > 'maxmemory'.", DriverError.Code.overloaded, true),
            ("MISCONF Redis is configured to save RDB snapshots", .overloaded, true),
            ("READONLY You can't write against a read only replica.", .overloaded, true),
            ("NOREPLICAS Not enough good replicas to write.", .overloaded, true),
            ("BUSY Redis is busy running a script.", .overloaded, true),
            ("ERR max number of clients reached", .overloaded, true),
            ("LOADING Redis is loading the dataset in memory", .unreachable, true),
            ("MASTERDOWN Link with MASTER is down", .unreachable, true),
            ("CLUSTERDOWN The cluster is down", .unreachable, true),
            ("TRYAGAIN later", .overloaded, true), ("NOAUTH Authentication required.", .unauthorized, false),
            ("WRONGPASS invalid username-password pair", .unauthorized, false),
            ("NOPERM this user has no permissions", .unauthorized, false),
            ("ERR AUTH <password> called without any password configured", .unauthorized, false),
            ("DENIED Redis is running in protected mode", .unauthorized, false),
            ("MOVED 3999 127.0.0.1:6381", .overloaded, true), ("ERR unknown command 'XADD'", .rejected, false),
        ]
    )
    func errors(text: String, code: DriverError.Code, isTemporary: Bool) {
        let error = RedisServerError(text).driverError(during: "append")
        #expect(error.code == code && (error.recovery != .giveUp) == isTemporary && error.detail == text)
    }

    @Test("a password that Redis quotes back is not passed on")
    func quotedPassword() {
        let quoting = RedisServerError("ERR unknown command 'AUTH', with args beginning with: 'hunter2' ")
        #expect(!quoting.driverError(during: "run", hiding: [Secret("hunter2")]).detail.contains("hunter2"))
    }

    @Test("INFO tells an old server and a replica apart from one that will do; what it doesn't tell is no reason")
    func facts() {
        #expect(ServerFacts(info: "redis_version:7.0.15\r\nrole:master\r\n").objection() == nil)
        #expect(ServerFacts(info: "redis_version:10.2.1\r\n").objection() == nil)
        #expect(ServerFacts(info: "").objection() == nil)
        #expect(ServerFacts(info: "# Server\r\nredis_version:6.0.16\r\n").objection()?.recovery == .giveUp)
        #expect(ServerFacts(info: "role:slave\r\n").objection()?.detail.hasPrefix("READONLY") == true)
    }

    @Test("requests are answered in order, bounded in count and bytes, though one always fits")
    func pipeline() {
        var pipeline = RequestPipeline<Int>(limitCount: 3, limitBytes: 100)
        let now = ContinuousClock.now
        let late = now + .seconds(1)
        #expect(pipeline.deadline == nil && pipeline.answered() == nil)
        let hugeFits = pipeline.offer(1, byteCount: 1_000, deadline: now)
        let nothingFits = pipeline.offer(2, byteCount: 1, deadline: now)
        #expect(hugeFits && !nothingFits && pipeline.answered() == 1)
        let fits = (2...5).map { pipeline.offer($0, byteCount: 20, deadline: $0 == 2 ? now : late) }
        #expect(fits == [true, true, true, false] && pipeline.deadline == now)
        #expect(pipeline.answered() == 2 && pipeline.deadline == late)
        #expect(pipeline.closed() == [3, 4] && pipeline.answered() == nil)
    }
}
