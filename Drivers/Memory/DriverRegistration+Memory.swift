public import BusbarDriver

extension DriverRegistration {
    /// `memory:` keeps everything within the process; each driver made is a broker of its own.
    public static let memory = DriverRegistration(
        name: "Memory",
        schemes: ["memory"],
        example: "memory:",
        summary: "a log in the memory of one process; needs nothing, reaches nobody else",
        reach: .process
    ) { url, _ throws(BackplaneURLError) in
        let rest = url.text.dropFirst("memory:".count)
        let query = rest.hasPrefix("?") ? rest.dropFirst() : rest
        let keys = query.split(separator: "&").map { String($0.prefix { $0 != "=" }) }
        guard rest.isEmpty || rest.hasPrefix("?"), BackplaneURL.commonKeys.isSuperset(of: keys) else {
            throw BackplaneURLError(key: "url", value: "\(url)", remedy: "memory: alone; it has no options of its own")
        }
        return MemoryDriver()
    }
}
