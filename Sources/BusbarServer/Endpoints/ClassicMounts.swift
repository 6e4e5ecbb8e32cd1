import BusbarHub

/// What classic clients find at a path and below it.
enum ClassicMount: Sendable {
    /// The one endpoint of all hubs.
    case hubs
    /// A persistent connection.
    case connection(RegisteredHub)

    var hasScript: Bool {
        switch self {
        case .hubs: true
        case .connection: false
        }
    }
}

/// Where classic clients find what. Of two places, one below the other, the longer path counts.
struct ClassicMounts: Sendable {
    private let mounts: [(path: String, mount: ClassicMount)]

    init(hubs path: String?, connections: [RegisteredHub]) {
        var mounts = connections.map { (path: $0.path, mount: ClassicMount.connection($0)) }
        if let path { mounts.append((path, .hubs)) }
        self.mounts = mounts.sorted { $0.path.utf8.count > $1.path.utf8.count }
    }

    func mount(of path: String) -> ClassicMount? {
        self.mounts.first { ClassicRoute.isBelow($0.path, path: path) }?.mount
    }
}
