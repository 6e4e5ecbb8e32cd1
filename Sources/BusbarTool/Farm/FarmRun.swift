import NIOCore
import NIOPosix
import Synchronization
import UnixSignals

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The shell around ``FarmMachine``: processes, signals, the clock and what is printed.
final class FarmRun: Sendable {
    struct Node: Sendable {
        let name: String
        let url: String
        let environment: [String: String]
    }

    private static let tick = Duration.milliseconds(100)

    private let nodes: [Node]
    private let notice: String?
    private let threads: NIOThreadPool
    private let children: Mutex<[ChildProcess?]>
    /// What a node said last before it ended, in the words of its one line on an error.
    private let complaints: Mutex<[String?]>

    /// - Parameter notice: printed once all nodes serve.
    init(nodes: [Node], notice: String?) {
        self.nodes = nodes
        self.notice = notice
        self.threads = NIOThreadPool(numberOfThreads: nodes.count)
        self.children = Mutex(Array(repeating: nil, count: nodes.count))
        self.complaints = Mutex(Array(repeating: nil, count: nodes.count))
    }

    /// Runs the farm until it is told to stop. Returns with every node ended.
    /// - Throws: ``ToolError`` that says why it ended otherwise.
    func run() async throws {
        self.threads.start()
        let outcome = await self.supervise()
        try? await self.threads.shutdownGracefully()
        switch outcome {
        case .stopped: Console.line("The farm has stopped.")
        case .nodeNeverServed(let node, let ending):
            let complaint = self.complaints.withLock { $0[node] } ?? Self.text(ending)
            throw ToolError.failure("\(self.nodes[node].name) did not start: \(complaint)")
        case .nodeFailedToStart(let node, let reason):
            throw ToolError.failure("\(self.nodes[node].name) did not start: \(reason)")
        case .stoppedUncleanly(let nodes):
            let names = nodes.map { self.nodes[$0].name }.joined(separator: ", ")
            throw ToolError.failure("the farm has stopped, but not cleanly: \(names)")
        }
    }

    private func supervise() async -> FarmMachine.Outcome {
        // Bounded by the number of nodes: each has a handful of events per life, and lives are paced.
        let (events, post) = AsyncStream.makeStream(of: FarmMachine.Event.self)
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in signals { post.yield(.stopRequested) }
            }
            group.addTask {
                while (try? await Task.sleep(for: Self.tick)) != nil { post.yield(.ticked) }
            }
            let clock = ContinuousClock()
            let began = clock.now
            var machine = FarmMachine(nodes: self.nodes.count)
            post.yield(.started)
            for await event in events {
                for effect in machine.handle(event, at: clock.now - began) {
                    if case .end(let outcome) = effect {
                        group.cancelAll()
                        return outcome
                    }
                    self.perform(effect, in: &group, post)
                }
            }
            group.cancelAll()
            return .stopped
        }
    }

    private func perform(
        _ effect: FarmMachine.Effect, in group: inout TaskGroup<Void>,
        _ post: AsyncStream<FarmMachine.Event>.Continuation
    ) {
        switch effect {
        case .start(let node): self.start(node, in: &group, post)
        case .terminate(let node): self.children.withLock { $0[node] }?.signal(SIGTERM)
        case .kill(let node): self.children.withLock { $0[node] }?.signal(SIGKILL)
        case .announceServing:
            Console.line("The farm is listening on \(self.nodes.map(\.url).joined(separator: " ")) (Ctrl-C ends it)")
            if let notice = self.notice { Console.line(notice) }
        case .announceRestart(let node, let ending, let pause):
            Console.line("farm | \(self.nodes[node].name) \(Self.text(ending)); it is started again in \(pause)")
        case .announceKill(let node):
            Console.line("farm | \(self.nodes[node].name) has not stopped and is killed")
        case .end: break
        }
    }

    private func start(
        _ node: Int, in group: inout TaskGroup<Void>, _ post: AsyncStream<FarmMachine.Event>.Continuation
    ) {
        let described = self.nodes[node]
        let child: ChildProcess
        do throws(ChildProcess.SpawnError) {
            child = try ChildProcess(arguments: ["serve", "--until-input-ends"], environment: described.environment)
        } catch {
            post.yield(.nodeFailedToStart(node, reason: error.description))
            return
        }
        self.children.withLock { $0[node] = child }
        Console.line("farm | \(described.name) is process \(child.pid), \(described.url)")
        group.addTask {
            let ending = try? await self.threads.runIfActive {
                child.follow { line in
                    Console.line("\(described.name) | \(line)")
                    if line.hasPrefix("Busbar is listening on ") { post.yield(.nodeListens(node)) }
                    if line.hasPrefix("busbar: ") {
                        self.complaints.withLock { $0[node] = String(line.dropFirst("busbar: ".count)) }
                    }
                }
            }
            self.children.withLock { $0[node] = nil }
            post.yield(.nodeEnded(node, ending ?? .exited(status: ToolError.failure)))
        }
    }

    private static func text(_ ending: FarmMachine.Ending) -> String {
        switch ending {
        case .exited(let status): "ended with status \(status)"
        case .signalled(let signal): "was ended by signal \(signal)"
        }
    }
}
