// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "OwnModel",
  dependencies: [.package(name: "Apus", path: "../..")],
  targets: [.executableTarget(name: "OwnModel", dependencies: [.product(name: "Apus", package: "Apus")])],
  swiftLanguageModes: [.v6]
)
