// swift-tools-version: 6.2
import PackageDescription

// Arrows point one way: models know no kernels, foresight knows no runtime; only training and the
// command line see everything. `docs/architecture.md` explains each target.
let package = Package(
  name: "Apus",
  products: [
    .library(name: "Apus", targets: ["Apus"]),
    .executable(name: "apus", targets: ["apus-cli"]),
  ],
  targets: [
    // C libraries of the distribution, and our C.
    .systemLibrary(name: "COneDNN", providers: [.apt(["libdnnl-dev"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
    .systemLibrary(name: "CMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
    .target(name: "CApusMPI", dependencies: ["CMPI"]),
    .target(name: "CApusKernels", linkerSettings: [.linkedLibrary("gomp"), .linkedLibrary("m")]),
    .target(
      name: "CApusMatrix", dependencies: ["COneDNN", "CApusKernels"],
      linkerSettings: [.linkedLibrary("dnnl")]),

    .target(name: "CApusWatch"),

    // The step program and what reads it.
    .target(name: "ApusCore"),
    .target(name: "ApusReference", dependencies: ["ApusCore"]),
    .target(name: "ApusProgram", dependencies: ["ApusCore"]),
    .target(name: "ApusModels", dependencies: ["ApusCore", "ApusProgram"]),
    .target(
      name: "ApusForesight",
      dependencies: ["ApusCore", "ApusProgram", "ApusModels", "ApusConfiguration"]),
    .target(
      name: "ApusRuntime",
      dependencies: [
        "ApusCore", "ApusProgram", "ApusReference", "ApusCommunication", "CApusKernels", "CApusMatrix",
        "CApusWatch",
      ]),

    // Ranks.
    .target(name: "ApusCommunication", dependencies: ["ApusCore", "CApusKernels", "CApusMPI"]),

    // What surrounds a step.
    .target(name: "ApusConfiguration", dependencies: ["ApusCore", "ApusProgram", "ApusModels", "CYAML"]),
    .target(name: "ApusData", dependencies: ["ApusCore", "CPCRE2"]),
    .target(name: "ApusCheckpoint", dependencies: ["ApusCore", "ApusModels"]),
    .target(name: "ApusReport", dependencies: ["ApusCore"]),
    .target(
      name: "ApusTraining",
      dependencies: [
        "ApusCore", "ApusProgram", "ApusModels", "ApusForesight", "ApusRuntime", "ApusConfiguration",
        "ApusData", "ApusCheckpoint", "ApusReport", "ApusCommunication",
      ]),
    .target(
      name: "Apus",
      dependencies: ["ApusProgram", "ApusModels", "ApusRuntime", "ApusConfiguration", "ApusTraining"]),
    .executableTarget(
      name: "apus-cli",
      dependencies: [
        "ApusCore", "ApusProgram", "ApusModels", "ApusForesight", "ApusRuntime", "ApusConfiguration",
        "ApusData",
        "ApusCheckpoint", "ApusReport", "ApusTraining", "ApusCommunication",
      ]),

    .testTarget(name: "ApusCoreTests", dependencies: ["ApusCore"]),
    // Checks of every primitive, for threads and for processes.
    .target(
      name: "CollectiveCases", dependencies: ["ApusCore", "ApusCommunication"], path: "Tests/CollectiveCases"),
    // A process of an MPI job, for the tests that start mpirun.
    .executableTarget(
      name: "RankTrial", dependencies: ["ApusCore", "ApusCommunication", "CollectiveCases"],
      path: "Tests/RankTrial"),
    .testTarget(
      name: "ApusCommunicationTests", dependencies: ["ApusCommunication", "CollectiveCases", "RankTrial"]),
    .testTarget(name: "ApusProgramTests", dependencies: ["ApusProgram", "ApusModels"]),
    .testTarget(name: "ApusKernelTests", dependencies: ["ApusReference", "CApusKernels", "CApusMatrix"]),
    .testTarget(
      name: "ApusRuntimeTests",
      dependencies: ["ApusProgram", "ApusModels", "ApusRuntime", "ApusCommunication"]),
    .testTarget(name: "ApusConfigurationTests", dependencies: ["ApusConfiguration", "ApusModels"]),
    .testTarget(name: "ApusCommandLineTests", dependencies: ["apus-cli", "ApusCheckpoint", "ApusModels"]),
    .testTarget(name: "ApusDataTests", dependencies: ["ApusData"], exclude: ["Fixtures"]),
    .testTarget(
      name: "ApusCheckpointTests", dependencies: ["ApusCheckpoint", "ApusModels"], exclude: ["Fixtures"]),
    .testTarget(name: "ApusReportTests", dependencies: ["ApusReport"]),
    .testTarget(
      name: "ApusForesightTests", dependencies: ["ApusForesight", "ApusConfiguration"], exclude: ["Fixtures"]),
    .testTarget(
      name: "ApusTrainingTests",
      dependencies: [
        "ApusProgram", "ApusModels", "ApusRuntime", "ApusConfiguration", "ApusCheckpoint", "ApusReport",
        "ApusTraining",
        "Apus",
      ],
      exclude: ["Fixtures"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu11
)
