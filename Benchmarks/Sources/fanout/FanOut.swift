import CLoad
import Glibc

/// What one broadcast costs the event loop per delivery: Busbar's path from a published hub message to the sockets,
/// beside a bare NIO write of the same bytes to the same kind of sockets, in alternating blocks of one process.
///
/// `fanout [rounds [connections [messages …]]]`, where messages are those of one flush.
@main
struct FanOut {
    static func main() async throws {
        let numbers = CommandLine.arguments.dropFirst().compactMap { Int($0) }
        let rounds = numbers.first ?? 9
        let connections = numbers.dropFirst().first ?? 1000
        let flushes = numbers.count > 2 ? Array(numbers.dropFirst(2)) : [1, 16]

        let loop = MeasuredLoop()
        let bare = try await BareSide(loop: loop, connections: connections)
        let busbar = try await BusbarSide(loop: loop, connections: connections)
        Report.header(connections: connections, rounds: rounds)
        for messages in flushes {
            var contenders: [Contender] = [
                Contender("bare NIO, one buffer", bare) { try await bare.broadcast(messages, joined: true) },
                Contender("Busbar", busbar) { try await busbar.broadcast(messages) },
            ]
            if messages > 1 {
                contenders.append(
                    Contender("bare NIO, \(messages) buffers", bare) {
                        try await bare.broadcast(messages, joined: false)
                    })
            }
            let table = try await Self.compare(contenders, loop: loop, messages: messages, rounds: rounds)
            Report.write(table, messages: messages)
        }
        try await busbar.stop()
        try await bare.stop()
        try await loop.stop()
    }

    /// One block of every contender per round; each round begins with another one.
    private static func compare(
        _ contenders: [Contender], loop: MeasuredLoop, messages: Int, rounds: Int
    ) async throws -> [(name: String, samples: [Sample])] {
        var table = contenders.map { (name: $0.name, samples: [Sample]()) }
        for round in 0...rounds {
            for turn in contenders.indices {
                let index = (turn + round) % contenders.count
                let contender = contenders[index]
                let sample = try await loop.block(contender, batches: 40, messages: messages)
                // Why: the first round warms caches, buffers and the heap.
                if round > 0 { table[index].samples.append(sample) }
            }
        }
        return table
    }
}

/// One way to bring messages to a crowd.
struct Contender {
    let name: String
    let crowd: Crowd
    /// Starts the delivery of one batch; called while the loop is held still.
    let start: () async throws -> Void

    init(_ name: String, _ side: some Side, start: @escaping () async throws -> Void) {
        self.name = name
        self.crowd = side.crowd
        self.start = start
    }
}

protocol Side {
    var crowd: Crowd { get }
}

struct BenchmarkError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
