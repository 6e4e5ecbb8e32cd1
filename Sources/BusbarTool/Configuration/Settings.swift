import Configuration

/// The settings of one run, each with its value and where that came from: flags beat environment beats file beats
/// default.
struct Settings: Sendable {
    enum Origin: Hashable, Sendable, CustomStringConvertible {
        case flag
        case environment(String)
        case file(String)
        case preset

        var description: String {
            switch self {
            case .flag: "flag"
            case .environment(let name): "environment \(name)"
            case .file(let path): "file \(path)"
            case .preset: "default"
            }
        }
    }

    struct Entry: Sendable {
        let setting: Setting
        let value: String?
        let origin: Origin
    }

    let entries: [Entry]

    /// Resolves every setting.
    /// - Parameters:
    ///   - flags: values given on the command line, by key.
    ///   - file: path of a YAML file, or nil.
    /// - Throws: ``ToolError`` with status 64 that names the key, the value and what would be right.
    static func resolve(
        flags: [String: String],
        environment: [String: String],
        file: String?
    ) async throws -> Self {
        try Self.refuseUnknownVariables(in: environment)
        let fromFlags = InMemoryProvider(name: "flags", values: Self.configurationValues(flags))
        let fromEnvironment = EnvironmentVariablesProvider(environmentVariables: environment)
        // Why in memory: the file is read by ConfigurationFile, which knows the line of each mistake.
        let document = try file.map(ConfigurationFile.read) ?? ConfigurationFile.empty
        let fromFile = InMemoryProvider(name: "file", values: Self.configurationValues(document.values))
        let entries = try Setting.all.map { setting in
            let key = AbsoluteConfigKey([setting.key])
            let sources: [(any ConfigProvider, AbsoluteConfigKey, Origin)] = [
                (fromFlags, key, .flag),
                (fromEnvironment, AbsoluteConfigKey(["busbar", setting.key]), .environment(setting.environmentName)),
                (fromFile, key, .file(file ?? "")),
            ]
            for (provider, key, origin) in sources {
                guard case .string(let value)? = try provider.value(forKey: key, type: .string).value?.content else {
                    continue
                }
                if let complaint = setting.complaint(about: value) {
                    let shown = setting.isSecret ? "(secret)" : "'\(value.prefix(200))'"
                    throw ToolError.usage("\(setting.key) \(complaint), not \(shown) (\(origin))")
                }
                return Entry(setting: setting, value: value, origin: origin)
            }
            return Entry(setting: setting, value: setting.fallback, origin: .preset)
        }
        return Self(entries: entries)
    }

    func text(_ setting: Setting) -> String? {
        self.entries.first { $0.setting.key == setting.key }?.value
    }

    /// The value of a setting of kind `integer`; every such value was checked when it was resolved.
    func integer(_ setting: Setting) -> Int {
        self.text(setting).flatMap { Int($0) } ?? 0
    }

    /// The value of a setting of kind `seconds`; nil if it is off or absent.
    func duration(_ setting: Setting) -> Duration? {
        self.text(setting).flatMap { Double($0) }.map { .seconds($0) }
    }

    func isOn(_ setting: Setting) -> Bool {
        self.text(setting)?.lowercased() == "true"
    }

    func list(_ setting: Setting) -> [String] {
        (self.text(setting) ?? "").split(separator: ",").map { $0.trimmingSpaces() }.filter { !$0.isEmpty }
    }

    private static func configurationValues(_ values: [String: String]) -> [AbsoluteConfigKey: ConfigValue] {
        Dictionary(
            uniqueKeysWithValues: values.map {
                (AbsoluteConfigKey([$0.key]), ConfigValue(.string($0.value), isSecret: false))
            }
        )
    }

    /// Why: a misspelt variable would otherwise be ignored, and the operator would look for the fault elsewhere.
    private static func refuseUnknownVariables(in environment: [String: String]) throws {
        let known = Set(Setting.all.map(\.environmentName)).union(["BUSBAR_CONFIG"])
        for name in environment.keys.sorted() where name.hasPrefix("BUSBAR_") && !known.contains(name) {
            // Why: `Scripts/brokers env` exports addresses for the tests under these names.
            guard !name.hasPrefix("BUSBAR_TEST_") else { continue }
            throw ToolError.usage(
                "unknown environment variable \(name)\(Suggestion.text(for: name, among: known.sorted()))"
            )
        }
    }
}

extension StringProtocol {
    func trimmingSpaces() -> String {
        String(self.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}
