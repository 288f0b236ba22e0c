import ArgumentParser
import Gateway

/// How a command prints what it found.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON, on one line.") var json = false

    /// Prints the value itself, or the text that `describe` makes of it.
    func print(_ value: some Encodable, _ describe: () -> String) throws {
        try Terminal.write((json ? try AdministrationText.json(value) : describe()) + "\n")
    }
}
