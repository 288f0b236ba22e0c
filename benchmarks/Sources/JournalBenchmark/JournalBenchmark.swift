import Glibc
import Journal
import Logging
import Messaging
import Reporting
import SQLiteJournal

/// Webhooks made durable by many at once, beside a file that is written and synced in groups of the same size, in one run.
@main
struct JournalBenchmark {
    static let help = """
        Measures group commit: webhooks of 0.7 kB in the journal, each handed over as soon as the one before it is durable,
        by as many as the case says. The reference writes as many into a file at once, and syncs it. Turns alternate.

        usage: journal-benchmark [--rounds N] [--seconds N]
          --rounds   turns of each; the median counts; default 5
          --seconds  length of a turn; default 1
        example: swift run -c release journal-benchmark --rounds 9
        """

    static func main() async throws {
        var (rounds, seconds) = (5, 1)
        var arguments = CommandLine.arguments.dropFirst()
        while let argument = arguments.popFirst() {
            switch argument {
            case "--rounds": rounds = number(of: argument, arguments.popFirst())
            case "--seconds": seconds = number(of: argument, arguments.popFirst())
            case "-h", "--help": return print(help)
            default: refuse("there is no option '\(argument)'")
            }
        }
        let directory = try Directory()
        defer { directory.remove() }
        let journal = try JournalUnderTest(directory.path + "/journal")
        let file = try PlainFile(directory.path + "/reference")
        var report = Report(name: "journal")
        for writers in [1, 16, 64, 256, 1024] {
            var (rates, references) = ([Double](), [Double]())
            for _ in 0..<rounds {
                rates.append(try await journal.rate(writers: writers, seconds: seconds))
                references.append(file.rate(group: writers, seconds: seconds))
            }
            report.results.append(
                Result(name: "\(writers) at once", value: median(rates), unit: "1/s", reference: median(references)))
        }
        await journal.close()
        print(report.json)
    }

    private static func number(of option: String, _ text: String?) -> Int {
        guard let number = text.flatMap({ Int($0) }), number > 0 else {
            refuse("\(option) needs a number, as in \(option) 3")
        }
        return number
    }

    static func refuse(_ problem: String) -> Never {
        print("journal-benchmark: \(problem)\n\n\(help)")
        exit(2)
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}

/// A directory of this run's own, on the disk where the benchmark is started: one in memory would measure no sync.
struct Directory {
    let path: String

    init() throws {
        var template = Array("journal-benchmark-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil, let path = realpath(template, nil) else {
            JournalBenchmark.refuse("cannot make a directory here: \(String(cString: strerror(errno)))")
        }
        self.path = String(cString: path)
        free(path)
    }

    func remove() {
        for name in ["journal/journal.sqlite", "journal/journal.sqlite-wal", "journal/journal.sqlite-shm"] {
            unlink("\(path)/\(name)")
        }
        unlink("\(path)/journal/journal.lock")
        rmdir("\(path)/journal")
        unlink("\(path)/reference")
        rmdir(path)
    }
}
