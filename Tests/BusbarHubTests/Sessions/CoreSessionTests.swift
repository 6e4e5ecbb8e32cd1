import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

@Suite("A core session", .timeLimit(.minutes(1)))
struct CoreSessionTests {
    @Test("core 1.11: handshake and first call may come together; the answer is {} and then the result")
    func handshakeAndCall() async throws {
        try await Room.open { room in
            let peer = try await room.core("c1")
            try await peer.send(
                #"{ "protocol" : "json", "version" : 0 }"#,
                #"{"type":1,"invocationId":"1","target":"ECHO","arguments":[{"a":[1,"é"]}]}"#)
            #expect(await peer.next() == "{}")
            #expect(await peer.next() == #"{"type":3,"invocationId":"1","result":{"a":[1,"é"]}}"#)
        }
    }

    @Test("core 1.25: what breaks the protocol closes the connection with an error and allows to reconnect",
        arguments: ["x", "[]", "{}", #"{"type":"1"}"#, #"{"type":1,"target":"","arguments":[]}"#])
    func protocolViolation(record: String) async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            try await peer.send(record)
            #expect(await peer.next() == #"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#)
            #expect(await peer.next() == nil)
            #expect(peer.sink.ending == .normal)
            await room.journal.wait(for: "disconnected c1 protocolViolated")
        }
    }

    @Test("core 3.5 case 1: all connections read a message to all, exactly that invocation and no id")
    func sendToAll() async throws {
        try await Room.open(loops: 2) { room in
            let c1 = try await room.connected("c1"), c2 = try await room.connected("c2", on: 1)
            try await c1.send(#"{"type":1,"target":"send","arguments":["World"]}"#)
            #expect(await c1.next() == #"{"type":1,"target":"received","arguments":["World"]}"#)
            #expect(await c2.next() == #"{"type":1,"target":"received","arguments":["World"]}"#)
        }
    }
}
