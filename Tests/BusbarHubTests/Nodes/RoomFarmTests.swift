import Busbar
import BusbarFaults
import BusbarHub
import BusbarProtocol
import NIOCore
import Synchronization
import Testing

// Why ten minutes: N-39's ten thousand rounds take half of one on two cores, and several with everything else beside them.
@Suite("Several nodes on one bus", .timeLimit(.minutes(10)))
struct RoomFarmTests {
    private func context(_ room: Room) throws -> HubContext { try #require(room.runtime.context(for: TestHub.self)) }

    @Test("N-35, N-36: a broadcast reaches each connection of three nodes once, a message to one only that one")
    func broadcast() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            var peers: [CorePeer] = []
            for (index, room) in farm.rooms.enumerated() { peers.append(try await room.connected("c\(index)")) }
            let gone = try await farm.rooms[1].connected("gone")
            try await gone.close(.graceful)
            await farm.rooms[1].journal.wait(for: "disconnected gone stoppedByClient")
            let clients = try self.context(farm.rooms[0]).clients
            try await clients.all.send("received", "to all")
            try await clients.client("c2").send("received", "to the third")
            try await clients.client("nobody").send("received", "to nobody")
            for (index, peer) in peers.enumerated() {
                try await peer.send(#"{"type":1,"target":"send","arguments":["fence \#(index)"]}"#)
            }
            for (index, peer) in peers.enumerated() {
                var texts: [String] = []
                while texts.filter({ $0.contains("fence") }).count < 3, let text = await peer.next() {
                    texts.append(text)
                }
                #expect(texts.filter { $0.contains("to all") }.count == 1)
                #expect(texts.filter { $0.contains("to the third") }.count == (index == 2 ? 1 : 0))
                #expect(!texts.contains { $0.contains("to nobody") })
            }
            #expect(gone.sink.isEmpty)
        }
    }

    @Test(
        "N-39: when a connection of another node has been added to a group, the next publish from any node reaches it, however often",
        arguments: zip([1, 4], [1_000, 10_000]))
    func joins(streams: Int, rounds: Int) async throws {
        var configuration = HubConfiguration()
        // Why: no ping should come between.
        configuration.core.clientTimeout = .seconds(7_200)
        configuration.core.keepAliveInterval = .seconds(3_600)
        configuration.core.silentClientTimeout = .seconds(7_200)
        try await RoomFarm.open(nodes: 3, loops: 2, streams: streams, configuration: configuration) { farm in
            let peer = try await farm.rooms[2].connected("c", on: 1)
            let contexts = try farm.rooms.map { try self.context($0) }
            // Why ten at a time: that many race with one another as well, and a round costs less than half.
            for first in stride(from: 0, to: rounds, by: 10) {
                try await withThrowingTaskGroup(of: Void.self) { joins in
                    for round in first..<first + 10 {
                        let group = "group \(round)", joining = contexts[round % 2], sending = contexts[round % 3]
                        joins.addTask {
                            try await joining.groups.add("c", to: group)
                            try await sending.clients.group(group).send("received", round)
                        }
                    }
                    try await joins.waitForAll()
                }
                var heard: Set<String?> = []
                for _ in 0..<10 { heard.insert(await peer.next()) }
                try #require(heard == Set((first..<first + 10).map(Self.received)))
            }
        }
    }

    private static func received(_ number: Int) -> String {
        #"{"type":1,"target":"received","arguments":[\#(number)]}"#
    }

    @Test("N-38: members of all nodes hear a group, but for those that are excepted, on whichever node they are")
    func exceptions() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            var peers: [CorePeer] = []
            let context = try self.context(farm.rooms[0])
            for (index, room) in farm.rooms.enumerated() {
                peers.append(try await room.connected("c\(index)"))
                try await context.groups.add("c\(index)", to: "g")
            }
            try await context.clients.groupExcept("g", ["c1"]).send("received", 1)
            try await context.clients.allExcept("c0", "c2").send("received", 2)
            try await context.clients.group("g").send("received", 3)
            let heard = [[1, 3], [2, 3], [1, 3]]
            for (peer, numbers) in zip(peers, heard) {
                for number in numbers {
                    #expect(await peer.next() == #"{"type":1,"target":"received","arguments":[\#(number)]}"#)
                }
            }
        }
    }

    @Test(
        "N-47: JSON, MessagePack and classic clients on different nodes each get a message in their own protocol",
        arguments: [2, 3])
    func protocols(nodes: Int) async throws {
        try await RoomFarm.open(nodes: nodes) { farm in
            let json = try await farm.rooms[0].connected("json")
            let packed = try await farm.rooms[1].connected("packed", language: .messagePack)
            let (classic, _) = try await farm.rooms[nodes - 1].started("classic")
            let value: JSONNode = ["a": [1, -1.5, nil, true, "ü", [:]]]
            for (number, room) in farm.rooms.enumerated() {
                try await self.context(room).clients.all.send("received", number, [value])
            }
            try await packed.send(#"{"type":1,"target":"send","arguments":["from MessagePack"]}"#)
            var heard: [String] = []
            while heard.last?.contains("from MessagePack") != true, let text = await json.next() { heard.append(text) }
            for text in heard { #expect(await packed.next() == text) }
            let arguments = try await classic.messages(until: #"["from MessagePack"]"#)
            #expect(arguments.count == nodes + 1)
            #expect(heard.count == nodes + 1)
            for (number, text) in heard.dropLast().enumerated() {
                #expect(text.hasPrefix(#"{"type":1,"target":"received","arguments":[\#(number),[{"#))
                let node = try JSONValueText(validating: ByteBuffer(string: text)).decode(JSONNode.self)
                #expect(node["arguments"]?[1]?[0] == value)
                let other = try JSONValueText(validating: ByteBuffer(string: arguments[number]))
                #expect(try other.decode(JSONNode.self) == node["arguments"])
            }
        }
    }

    @Test(
        "N-42: a connection that joins a group many times, from several nodes, hears a message once", arguments: [1, 4])
    func manyJoins(streams: Int) async throws {
        try await RoomFarm.open(nodes: 3, streams: streams) { farm in
            let peer = try await farm.rooms[1].connected("c")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for room in farm.rooms {
                    let groups = try self.context(room).groups
                    for _ in 1...20 { group.addTask { try await groups.add("c", to: "g") } }
                }
                try await group.waitForAll()
            }
            try await self.context(farm.rooms[2]).clients.group("g").send("received", 1)
            #expect(await peer.next() == #"{"type":1,"target":"received","arguments":[1]}"#)
            #expect(try await peer.textsUntilEcho("e") == [])
        }
    }

    @Test(
        "N-43: each connection of a user hears a message once, on whichever node it is, and the rest when one is gone")
    func users() async throws {
        try await RoomFarm.open { farm in
            let first = try await farm.rooms[0].connected("a", user: "ada")
            let second = try await farm.rooms[1].connected("b", user: "ada")
            let other = try await farm.rooms[1].connected("g", user: "grace")
            let ada = try self.context(farm.rooms[0]).clients.user("ada")
            try await ada.send("received", 1)
            #expect(await first.next() == #"{"type":1,"target":"received","arguments":[1]}"#)
            try await first.close(.graceful)
            await farm.rooms[0].journal.wait(for: "disconnected a stoppedByClient")
            try await ada.send("received", 2)
            for number in 1...2 {
                #expect(await second.next() == #"{"type":1,"target":"received","arguments":[\#(number)]}"#)
            }
            #expect(first.sink.isEmpty)
            #expect(try await other.textsUntilEcho("e") == [])
        }
    }

    @Test("N-50: groups of two hubs with one name have nothing to do with each other, on any node")
    func twoHubs() async throws {
        try await RoomFarm.open { farm in
            let peer = try await farm.rooms[0].connected("c")
            let other = try #require(farm.rooms[1].runtime.context(named: "other"))
            try await self.context(farm.rooms[1]).groups.add("c", to: "g")
            try await other.groups.add("c", to: "g")
            try await other.clients.group("g").send("received", "of the other")
            try await other.clients.all.send("received", "of the other")
            try await self.context(farm.rooms[1]).clients.group("g").send("received", 1)
            #expect(await peer.next() == #"{"type":1,"target":"received","arguments":[1]}"#)
        }
    }

    @Test("N-40: adding twice is adding once, and removing a non-member of any node changes nothing")
    func membership() async throws {
        try await RoomFarm.open { farm in
            let here = try await farm.rooms[0].connected("here"), there = try await farm.rooms[1].connected("there")
            let context = try self.context(farm.rooms[0])
            for id in ["here", "there"] {
                try await context.groups.remove(id, from: "g")
                for _ in 1...3 { try await context.groups.add(id, to: "g") }
            }
            try await context.clients.group("g").send("received", 1)
            try await context.groups.remove("there", from: "g")
            try await context.clients.group("g").send("received", 2)
            // Why: an echo comes straight from the node, and may overtake what is still on the bus.
            try await context.clients.all.send("received", 3)
            for (peer, numbers) in [(here, [1, 2, 3]), (there, [1, 3])] {
                for number in numbers {
                    #expect(await peer.next() == #"{"type":1,"target":"received","arguments":[\#(number)]}"#)
                }
            }
        }
    }

    @Test("N-49: what the node of the connection refuses is told to whoever asked, on another node")
    func refusal() async throws {
        var configuration = HubConfiguration()
        configuration.groupLimit = 1
        try await RoomFarm.open(configuration: configuration) { farm in
            let peer = try await farm.rooms[1].connected("c")
            let groups = try self.context(farm.rooms[0]).groups
            try await groups.add("c", to: "first")
            let error = await #expect(throws: HubSendError.self) { try await groups.add("c", to: "second") }
            #expect(error?.code == .tooManyGroups)
            #expect(try await peer.textsUntilEcho("e") == [])
        }
    }

    @Test("an id that no connection has changes nothing and is no error, whichever living node it names")
    func unknownIDs() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            let groups = try self.context(farm.rooms[0]).groups
            let tags = farm.rooms.map { $0.runtime.nodeTag }
            for id in ["nobody"] + tags.map({ Self.id(of: $0) }) + [Self.id(of: NodeTag(bits: 0))] {
                try await groups.add(id, to: "g")
                try await groups.remove(id, from: "g")
            }
        }
    }

    /// An id as core clients have them.
    private static func id(of tag: NodeTag) -> String { Base64URL.encode(tag.bytes + [UInt8](repeating: 7, count: 12)) }

    @Test(
        "N-49: a change for a connection of a killed node fails as soon as the node is known to be dead, and ever after"
    )
    func deadOwner() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            let id = Self.id(of: farm.rooms[2].runtime.nodeTag)
            _ = try await farm.rooms[2].connected(id)
            let groups = try self.context(farm.rooms[0]).groups
            try await groups.add(id, to: "before")
            farm.kill(2)
            let dying = await #expect(throws: HubSendError.self) { try await groups.add(id, to: "g") }
            #expect(dying?.code == .nodeGone, "asked while it was thought to live")
            try await farm.wait(on: [0, 1]) { $0.runtime.nodes.map(\.name).sorted() == ["node 0", "node 1"] }
            let dead = await #expect(throws: HubSendError.self) { try await groups.add(id, to: "g") }
            #expect(dead?.code == .nodeGone)
            try await groups.add(Self.id(of: farm.rooms[1].runtime.nodeTag), to: "g")
        }
    }

    @Test("a node that leaves in good order is gone at once for all others")
    func farewell() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            await farm.rooms[1].runtime.drain()
            try await farm.wait(on: [0, 2]) { $0.runtime.nodes.map(\.name).sorted() == ["node 0", "node 2"] }
        }
    }

    @Test("N-37: while the broker is away a message to a connection of the same node is delivered, in its place")
    func brokerAway() async throws {
        try await RoomFarm.open { farm in
            let room = farm.rooms[0]
            let core = try await room.connected("c"), (classic, _) = try await room.started("k")
            let clients = try self.context(room).clients
            try await clients.client("c").send("received", 1)
            try await farm.cut(0)
            for number in 2...3 {
                for id in ["c", "k"] { try await clients.client(id).send("received", number) }
            }
            try await farm.drivers[0].restore()
            for id in ["c", "k"] { try await clients.client(id).send("received", 4) }
            for number in 1...4 {
                #expect(await core.next() == #"{"type":1,"target":"received","arguments":[\#(number)]}"#)
            }
            #expect(try await classic.messages(until: "[4]") == ["[2]", "[3]", "[4]"])
        }
    }

    @Test("N-37: what is sent to a client that is away waits for the broker, since only the log can replay it")
    func brokerAndClientAway() async throws {
        try await RoomFarm.open { farm in
            let room = farm.rooms[0]
            let (classic, cursor) = try await room.started("k")
            try await classic.close()
            let clients = try self.context(room).clients
            try await farm.cut(0)
            async let sent: Void = clients.client("k").send("received", 1)
            try await farm.drivers[0].restore()
            try await sent
            let back = try await room.classic("k", kind: .reconnect(cursor: cursor))
            #expect(try await back.messages(until: "[1]") == ["[1]"])
        }
    }

    @Test("a node whose link was cut for a while is not given up by itself, and what others ask it meanwhile is served")
    func cutLink() async throws {
        try await RoomFarm.open { farm in
            let peer = try await farm.rooms[1].connected("c")
            try await farm.cut(1)
            async let joined: Void = self.context(farm.rooms[0]).groups.add("c", to: "g")
            try await farm.drivers[1].restore()
            try await joined
            try await self.context(farm.rooms[0]).clients.group("g").send("received", 1)
            #expect(await peer.next() == #"{"type":1,"target":"received","arguments":[1]}"#)
        }
    }

    @Test("N-49: a request to one node is served by it alone; a dead node, a kind nobody knows and a large body fail")
    func oneNode() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            let runtime = farm.rooms[0].runtime
            let nodes = runtime.nodes.map(\.id)
            for node in nodes {
                let isServed = try await runtime.ping(node)
                #expect(isServed)
            }
            let stranger = await #expect(throws: HubSendError.self) { try await runtime.ping(NodeID(process: 1)) }
            #expect(stranger?.code == .nodeGone)
            let former = await #expect(throws: HubSendError.self) { try await runtime.ping(nodes[1].next) }
            #expect(former?.code == .nodeGone)
            let large = ByteBuffer(repeating: 0, count: NodeRecord.largestBodyBytes + 1)
            let refused = await #expect(throws: HubSendError.self) { try await runtime.ping(nodes[1], body: large) }
            #expect(refused?.code == .tooLarge)
        }
    }
}
