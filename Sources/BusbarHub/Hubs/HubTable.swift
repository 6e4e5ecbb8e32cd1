/// The hubs of a runtime, by name and by path, both ignoring case.
package struct HubTable: Sendable {
    /// In the order of registration.
    package let hubs: [RegisteredHub]

    private let byName: [String: Int]
    private let byPath: [String: Int]

    /// - Throws: ``HubRegistrationError``, naming both hubs where two are in each other's way.
    package init(
        _ registrations: [HubRegistration], pipeline: HubPipeline = HubPipeline()
    ) throws(HubRegistrationError) {
        var hubs: [RegisteredHub] = []
        var byName: [String: Int] = [:]
        var byPath: [String: Int] = [:]
        for (index, registration) in registrations.enumerated() {
            try registration.check()
            if let other = byName.updateValue(index, forKey: registration.name.lowercased()) {
                throw HubRegistrationError(
                    .duplicateName,
                    "\(registration.type) is named '\(registration.name)' and \(registrations[other].type) is named"
                        + " '\(registrations[other].name)'; names must differ in more than case")
            }
            if let other = byPath.updateValue(index, forKey: registration.path.lowercased()) {
                throw HubRegistrationError(
                    .duplicatePath,
                    "\(registration.type) has the path '\(registration.path)' and \(registrations[other].type) has"
                        + " '\(registrations[other].path)'; paths must differ in more than case")
            }
            hubs.append(try registration.make(pipeline))
        }
        self.hubs = hubs
        self.byName = byName
        self.byPath = byPath
    }

    /// The hub that clients call `name`.
    package func hub(named name: String) -> RegisteredHub? {
        (self.byName[name] ?? self.byName[name.lowercased()]).map { self.hubs[$0] }
    }

    /// The hub that core clients find at `path`.
    package func hub(at path: String) -> RegisteredHub? {
        (self.byPath[path] ?? self.byPath[path.lowercased()]).map { self.hubs[$0] }
    }
}

extension HubRegistration {
    /// The longest name of a hub, in bytes of UTF-8.
    private static let longestNameBytes = 128

    fileprivate func check() throws(HubRegistrationError) {
        let isUsable = self.name.unicodeScalars.allSatisfy {
            $0 != "." && $0 != "/" && !$0.properties.isWhitespace && $0.properties.generalCategory != .control
        }
        guard isUsable, !self.name.isEmpty, self.name.utf8.count <= Self.longestNameBytes else {
            throw HubRegistrationError(
                .invalidName,
                "the hub name '\(self.name.prefix(Self.longestNameBytes))' of \(self.type) is invalid: it must have"
                    + " 1 to \(Self.longestNameBytes) bytes without '.', '/', white space and control characters")
        }
        try Self.check(path: self.path, of: self.type)
    }

    /// - Throws: ``HubRegistrationError`` `invalidPath` unless requests can have the path.
    static func check(path: String, of type: String) throws(HubRegistrationError) {
        let isPath = path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"?#%\\".utf8.contains($0) }
        guard isPath, path.hasPrefix("/"), !path.hasSuffix("/"), !path.contains("//") else {
            throw HubRegistrationError(
                .invalidPath,
                "the path '\(path)' of \(type) is invalid: it must begin with '/', not end with it, and have"
                    + " visible ASCII characters other than '?', '#', '%' and '\\'")
        }
    }
}
