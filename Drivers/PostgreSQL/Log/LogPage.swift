package import BusbarDriver

/// A page of the log as this driver reads it: with the mark of its last record.
package struct LogPage: Hashable {
    package let page: Page
    /// Nil when the page is empty.
    package let last: SeenMark?

    package init(page: Page, last: SeenMark?) {
        self.page = page
        self.last = last
    }
}
