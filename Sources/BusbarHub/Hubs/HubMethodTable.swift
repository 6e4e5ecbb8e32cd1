/// The methods of a hub by name, ignoring case, and by argument count.
struct HubMethodTable<H: Hub>: Sendable {
    private var exact: [String: [HubMethod<H>]] = [:]
    private var folded: [String: [HubMethod<H>]] = [:]

    /// Each name once, as first registered.
    private(set) var names: [MethodName] = []

    /// Names under which two methods take equally many arguments.
    private(set) var ambiguous: [String] = []

    init(_ methods: [HubMethod<H>], hub: String) throws(HubRegistrationError) {
        for method in methods {
            guard !method.name.isEmpty else {
                throw HubRegistrationError(.invalidMethod, "hub '\(hub)' has a method with an empty name")
            }
            let key = method.name.lowercased()
            let overloads = self.folded[key, default: []]
            if overloads.isEmpty { self.names.append(MethodName(method)) }
            if overloads.contains(where: { $0.parameterCount == method.parameterCount }) {
                self.ambiguous.append(method.signature)
            }
            self.folded[key] = overloads + [method]
        }
        // Why: most clients spell a name as it is registered or with a lower-case initial; neither then needs folding.
        for method in methods {
            let overloads = self.folded[method.name.lowercased()]
            self.exact[method.name] = overloads
            self.exact[method.name.prefix(1).lowercased() + method.name.dropFirst()] = overloads
        }
    }

    /// The one method of that name that takes that many arguments.
    func method(_ name: String, argumentCount: Int) throws(HubFailure) -> HubMethod<H> {
        guard let overloads = self.exact[name] ?? self.folded[name.lowercased()] else {
            throw HubFailure(
                .unknownMethod, "'\(name)' method could not be resolved. No method found with that name.")
        }
        var match: Int?
        for index in overloads.indices where overloads[index].parameterCount == argumentCount {
            guard match == nil else { throw Self.mismatch(name, argumentCount, overloads) }
            match = index
        }
        guard let match else { throw Self.mismatch(name, argumentCount, overloads) }
        return overloads[match]
    }

    private static func mismatch(_ name: String, _ count: Int, _ overloads: [HubMethod<H>]) -> HubFailure {
        let candidates = overloads.map { "\n\($0.signature)" }.joined()
        return HubFailure(
            .argumentCount(provided: count, accepted: Set(overloads.map(\.parameterCount)).sorted()),
            "'\(name)' method could not be resolved. Potential candidates are: \(candidates)"
        )
    }
}

extension MethodName {
    fileprivate init<H: Hub>(_ method: HubMethod<H>) {
        self.init(name: method.name, scriptName: method.scriptName)
    }
}
