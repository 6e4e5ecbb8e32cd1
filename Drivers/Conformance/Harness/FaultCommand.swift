import FoundationEssentials
import Synchronization

/// A command that does things to a broker: `COMMAND pause`, `COMMAND resume`, and so on.
///
/// It is run by `/bin/sh -c`, with one more word at its end: a ``BrokerFault``'s raw value. It inherits the environment,
/// has no standard input, and is to return when the fault has happened; after `start`, `resume` and `restore-older` when
/// the broker accepts connections again. Processes that it leaves running are let be.
///
/// | exit status | means |
/// |---|---|
/// | 0 | done |
/// | 64 | this verb is unknown: cases that need it are skipped, and say so |
/// | any other | it should have worked; the case fails with the last line of what the command wrote |
///
/// `save`, `cut-links`, `refuse` and `accept` are for those who can: for them any status but 0 means "unknown".
public struct FaultCommand: BrokerFaults {
    /// A command that didn't do its work.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private let command: String
    private let environment: [String: String]
    private let deadline: Duration
    private let unknown = Unknown()

    /// - Parameters:
    ///   - command: as one would type it into a shell.
    ///   - environment: variables to set, besides those of this process.
    ///   - deadline: of one call; its processes are killed then. Processes in sessions of their own are not reached.
    public init(_ command: String, environment: [String: String] = [:], deadline: Duration = .seconds(60)) {
        self.command = command
        self.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        self.deadline = deadline
    }

    public var offered: Set<BrokerFault> { Set(BrokerFault.allCases).subtracting(self.unknown.faults) }

    public func inject(_ fault: BrokerFault) async throws {
        guard self.offered.contains(fault) else { throw UnknownFault(fault) }
        let line = "\(self.command) \(fault.rawValue)"
        let outcome = await ShellCommand.run(line, environment: self.environment, within: self.deadline)
        switch outcome {
        case .exited(0, _): return
        case .exited(let status, let said):
            if status == 64 || fault.isOptional {
                self.unknown.insert(fault)
                throw UnknownFault(fault, status == 64 ? "" : "status \(status), \(said)")
            }
            throw Failure(description: "'\(line)' ended with status \(status): \(said)")
        case .signalled(let signal, let said):
            throw Failure(description: "'\(line)' was ended by signal \(signal): \(said)")
        case .timedOut: throw Failure(description: "'\(line)' took longer than \(self.deadline)")
        case .notStarted(let reason): throw Failure(description: "'\(line)' can't be run: \(reason)")
        }
    }

    /// Verbs that this command has refused.
    private final class Unknown: Sendable {
        private let state = Mutex<Set<BrokerFault>>([])

        var faults: Set<BrokerFault> { self.state.withLock { $0 } }
        func insert(_ fault: BrokerFault) { self.state.withLock { _ = $0.insert(fault) } }
    }
}

extension BrokerFault {
    /// Whether a fault command may do without it and needn't even know the word.
    fileprivate var isOptional: Bool {
        switch self {
        case .pause, .resume, .kill, .start, .wipe, .restoreOlder: false
        case .save, .cutLinks, .refuse, .accept: true
        }
    }
}
