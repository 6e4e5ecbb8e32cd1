import Busbar
import BusbarDriver
import BusbarMemory

/// Which driver a backplane URL asks for.
enum BackplaneURL {
    /// The driver that `text` names.
    /// - Throws: ``ToolError`` with status 64 that says which schemes this build has.
    static func driver(for text: String) throws -> any BackplaneDriver {
        let scheme = text.prefix { $0 != ":" }.lowercased()
        switch scheme {
        case "memory":
            guard text.dropFirst("memory".count) == ":" else {
                throw ToolError.usage(
                    "backplane must be 'memory:' alone, not '\(self.masked(text))': it has no options")
            }
            return MemoryDriver()
        default:
            throw ToolError.usage(
                "backplane '\(self.masked(text))' names no driver of this build; known is memory:"
            )
        }
    }

    /// The URL with everything between `//` and the last `@` of its authority replaced: passwords never reach output or logs.
    static func masked(_ text: String) -> String {
        guard let slashes = text.firstRange(of: "//") else { return text }
        let rest = text[slashes.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard let at = authority.lastIndex(of: "@") else { return text }
        return text[..<slashes.upperBound] + "***" + text[at...]
    }
}
