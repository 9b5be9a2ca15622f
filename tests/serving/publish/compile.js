// Prints the ABI and the bytecode of a contract as JSON. Arguments: folder of solc, source file.
const [folder, file] = process.argv.slice(2);
const solc = require(folder);
const name = require("path").basename(file);
const input = {
  language: "Solidity",
  sources: { [name]: { content: require("fs").readFileSync(file, "utf8") } },
  settings: {
    evmVersion: "paris",
    optimizer: { enabled: true, runs: 10000 },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const problem of output.errors || []) process.stderr.write(problem.formattedMessage);
const contract = output.contracts ? Object.values(output.contracts[name])[0] : null;
if (!contract || (output.errors || []).length) process.exit(1);
process.stdout.write(JSON.stringify({ abi: contract.abi, bytecode: contract.evm.bytecode.object, version: solc.version() }));
