import FoundationEssentials
import Yams

/// A configuration file: YAML, one mapping of known keys to scalars (`backplane:` may also be a mapping: `url:` and
/// options).
struct ConfigurationFile: Sendable {
    /// Larger files are refused unread.
    static let largestBytes = 1 << 20
    static let empty = Self(values: [:])

    /// Values as written, by key.
    let values: [String: String]

    /// - Throws: ``ToolError`` with status 64 that names the file, the line and what would be right.
    static func read(_ path: String) throws -> Self {
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: path))
        } catch {
            throw ToolError.usage("can't read configuration file '\(path)': \(Self.reason(of: error))")
        }
        guard data.count <= Self.largestBytes else {
            throw ToolError.usage(
                "configuration file '\(path)' has \(data.count) bytes; at most \(Self.largestBytes) are read")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw ToolError.usage("configuration file '\(path)' is not UTF-8 text")
        }
        return try Self.parse(text, path: path)
    }

    static func parse(_ text: String, path: String) throws -> Self {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw ToolError.usage("\(path): not valid YAML: \(error)")
        }
        guard let root else { return .empty }
        if case .scalar(let scalar) = root, scalar.string.isEmpty { return .empty }
        guard case .mapping(let mapping) = root else {
            throw ToolError.usage("\(path): must be a mapping of settings such as 'port: 8080'")
        }
        let known = Dictionary(uniqueKeysWithValues: Setting.all.map { ($0.key, $0) })
        var values: [String: String] = [:]
        for (keyNode, valueNode) in mapping {
            let place = keyNode.mark.map { "\(path):\($0.line)" } ?? path
            guard let key = keyNode.string, let setting = known[key] else {
                let name = keyNode.string ?? "?"
                throw ToolError.usage(
                    "\(place): unknown key '\(name)'\(Suggestion.text(for: name, among: known.keys.sorted()))")
            }
            guard values[key] == nil else {
                throw ToolError.usage("\(place): key '\(key)' is given twice")
            }
            values[key] = try Self.value(of: setting, from: valueNode, at: place)
        }
        return Self(values: values)
    }

    private static func value(of setting: Setting, from node: Node, at place: String) throws -> String {
        switch (setting.kind, node) {
        case (_, .scalar(let scalar)):
            return scalar.string
        case (.list, .sequence(let sequence)):
            return sequence.compactMap(\.string).joined(separator: ",")
        case (_, .mapping(let mapping)) where setting.key == Setting.backplane.key:
            return try Self.url(from: mapping, at: place)
        case (_, .sequence), (_, .mapping), (_, .alias):
            throw ToolError.usage("\(place): '\(setting.key)' must be a single value")
        }
    }

    /// The URL with the other keys of the mapping as its query.
    private static func url(from mapping: Node.Mapping, at place: String) throws -> String {
        guard var url = mapping["url"]?.string else {
            throw ToolError.usage("\(place): 'backplane' must be a URL, or a mapping with the key 'url' and options")
        }
        for (keyNode, valueNode) in mapping where keyNode.string != "url" {
            guard let key = keyNode.string, let value = valueNode.scalar?.string else {
                throw ToolError.usage("\(place): 'backplane' must have single values, such as 'streams: 4'")
            }
            url += (url.contains("?") ? "&" : "?") + "\(Self.percentEncoded(key))=\(Self.percentEncoded(value))"
        }
        return url
    }

    private static func percentEncoded(_ text: String) -> String {
        let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.".utf8)
        return text.utf8.reduce(into: "") { encoded, byte in
            let digits = String(byte, radix: 16, uppercase: true)
            encoded += plain.contains(byte) ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + digits
        }
    }

    private static func reason(of error: any Error) -> String {
        switch (error as? CocoaError)?.code {
        case .fileReadNoSuchFile?, .fileNoSuchFile?: "no such file"
        case .fileReadNoPermission?: "no permission to read it"
        default: "it is not a readable file"
        }
    }
}
