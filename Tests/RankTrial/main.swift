import Foundation

exit(Trial.run(CommandLine.arguments))
