/// A statement that is sent often: each connection prepares it the first time, under its name.
package struct PostgresStatement: Sendable, Hashable {
    /// Unique in the program.
    package let name: String
    /// Parameters are `$1`, `$2`, …; their types stand in the text (`$1::uuid[]`) or follow from it.
    package let sql: String

    package init(name: String, sql: String) {
        self.name = name
        self.sql = sql
    }
}
