import Glibc

/// The memory of one process as the kernel counts it, in bytes.
struct ProcessMemory {
    enum Kind: CaseIterable {
        /// All that is in memory, what it shares with others included.
        case resident
        /// The same, with a share of what is shared.
        case proportional
        /// What belongs to this process alone.
        case `private`

        fileprivate var keys: [Substring] {
            switch self {
            case .resident: ["Rss:"]
            case .proportional: ["Pss:"]
            case .private: ["Private_Clean:", "Private_Dirty:"]
            }
        }
    }

    private var bytes: [Kind: Int] = [:]

    init(processID: Int32) throws {
        guard let file = fopen("/proc/\(processID)/smaps_rollup", "r") else {
            throw LoadError("process \(processID) has no smaps_rollup")
        }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                .split(separator: " ")
            guard words.count > 1, let kind = Kind.allCases.first(where: { $0.keys.contains(words[0]) }) else {
                continue
            }
            self.bytes[kind, default: 0] += (Int(words[1]) ?? 0) * 1024
        }
    }

    subscript(kind: Kind) -> Int { self.bytes[kind] ?? 0 }

    func mebibytes(_ kind: Kind) -> Double { Double(self[kind]) / 1_048_576 }
}
