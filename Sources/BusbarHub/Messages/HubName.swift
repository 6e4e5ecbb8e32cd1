/// What holds for every name in a message: method, connection id, group, user.
package enum HubName {
    /// The longest name, in bytes of UTF-8, so that with its hub it fits a topic.
    package static let longestBytes = 8 * 1024

    static func check(_ name: String, is what: StaticString) throws(HubSendError) {
        guard !name.isEmpty else {
            throw HubSendError(.emptyName, "\(what) must not be empty")
        }
        guard name.utf8.count <= Self.longestBytes else {
            throw HubSendError(
                .tooLarge, "\(what) has \(name.utf8.count) bytes, at most \(Self.longestBytes) are possible")
        }
    }
}
