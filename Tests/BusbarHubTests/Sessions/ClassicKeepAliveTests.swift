import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

@Suite("Keep-alives of classic connections", .timeLimit(.minutes(1)))
struct ClassicKeepAliveTests {
    @Test("are sent when nothing else is")
    func quiet() async throws {
        try await Room.open { room in
            let (peer, _) = try await room.started("a")
            // Why not the first: the node may have learnt the place of its stream only after the connection began.
            try await room.pass(.seconds(11))
            let first = await peer.next()
            #expect(first == "{}" || first?.contains(#""M":[]"#) == true)
            try await room.pass(.seconds(22))
            #expect(await peer.next() == "{}")
        }
    }

    @Test("carry the cursor when others have been sent something, so that a client that heard nothing can come back")
    func cursor() async throws {
        try await Room.open { room in
            let (peer, first) = try await room.started("a")
            let (other, _) = try await room.started("b")
            try await other.call("toCaller", #"["not yours"]"#)
            _ = try await other.messages(until: #"["not yours"]"#)
            try await room.pass(.seconds(11))
            let refreshed = try await peer.envelope()
            let cursor = try #require(refreshed.cursor)
            #expect(refreshed.arguments == [])
            #expect(refreshed.initialized == nil)
            #expect(cursor != first)
            try await room.pass(.seconds(22))
            #expect(await peer.next() == "{}")
            try await peer.close()
            try await other.call("send", #"["missed"]"#)
            _ = try await other.messages(until: #"["missed"]"#)
            let back = try await room.classic("a", kind: .reconnect(cursor: cursor))
            #expect(try await back.messages(until: #"["missed"]"#) == [#"["missed"]"#])
        }
    }

    @Test("case 89: between messages cost none of them")
    func amongMessages() async throws {
        try await Room.open { room in
            let (peer, _) = try await room.started("a")
            let (other, _) = try await room.started("b")
            for index in 0..<20 {
                try await other.call("send", "[\"\(index)\"]")
                try await room.pass(.seconds(11 * Int64(index + 1)))
            }
            #expect(try await peer.messages(until: #"["19"]"#) == (0..<20).map { "[\"\($0)\"]" })
        }
    }
}
