// What osls does not do by itself: it refuses what would go wrong in silence, builds the package
// before it is uploaded, and keeps an address quiet that nobody can call. It also tells our tools
// what it has made of serverless.yml, so that they need not read it themselves.

const { spawnSync } = require('node:child_process');
const { writeFileSync } = require('node:fs');

const DEFAULT_ARCHITECTURE = 'x86_64';

module.exports = class {
  constructor(serverless) {
    this.serverless = serverless;
    this.hooks = {
      initialize: () => {
        this.checkDeploymentName();
        this.tell();
      },
      'before:deploy:function:initialize': () => this.refuseOneFunction(),
      'before:package:createDeploymentArtifacts': () => this.build(),
      'after:aws:info:displayEndpoints': () => this.hideAddressesOfAws(),
    };
  }

  fail(message) {
    throw new this.serverless.classes.Error(message);
  }

  stop(what, why, then) {
    this.fail(`${what}\n  Why:  ${why}\n  Next: ${then}`);
  }

  python(stdio, ...program) {
    return spawnSync(process.env.PYTHON || 'python3', ['-m', ...program], {
      cwd: this.serverless.serviceDir,
      encoding: 'utf8',
      stdio,
    });
  }

  checkDeploymentName() {
    const name = this.serverless.getProvider('aws').getStage();
    const { status, stdout, error } = this.python('pipe', 'tools.osls', name);
    if (status !== 0) this.fail(error ? error.message : stdout.trim().replace(/^Error: /, ''));
  }

  // All variables and options are resolved by now. tools/osls.py says where to write.
  tell() {
    if (!process.env.OSLS_TELLS_IN) return;
    const { service } = this.serverless;
    const aws = this.serverless.getProvider('aws');
    const names = service.getAllFunctions().map((key) => [key, service.getFunction(key).name]);
    const resolved = {
      region: aws.getRegion(),
      stack: aws.naming.getStackName(),
      functions: Object.fromEntries(names),
    };
    writeFileSync(process.env.OSLS_TELLS_IN, JSON.stringify(resolved));
  }

  refuseOneFunction() {
    this.stop(
      '`deploy function` is not for this project.',
      'it would upload the package of the last deployment, without what has changed since, and' +
        ' it cannot find the roles, which CloudFormation names.',
      'tox -e deploy -- --stage NAME, which takes as long and uploads only what has changed.',
    );
  }

  build() {
    const { architecture = DEFAULT_ARCHITECTURE } = this.serverless.service.provider;
    const runtime = this.serverless.getProvider('aws').getRuntime();
    this.checkFunctions({ runtime, architecture });
    const target = ['--runtime', runtime, '--architecture', architecture];
    const { status } = this.python('inherit', 'tools.package', ...target);
    if (status !== 0) this.fail('The package was not built; the reason is above.');
  }

  // There is one package for all functions, but for those that bring their own.
  checkFunctions(provider) {
    const { service } = this.serverless;
    for (const key of service.getAllFunctions()) {
      const { image, package: own, ...settings } = service.getFunction(key);
      if (image || (own && own.artifact)) continue;
      for (const [name, value] of Object.entries(provider)) {
        if (!settings[name] || settings[name] === value) continue;
        this.stop(
          `The function ${key} has the ${name} ${settings[name]}; the package is for ${value}.`,
          'all functions share one package, and this function could not load it.',
          `take ${name} out of the function ${key}, or change provider.${name} in serverless.yml.`,
        );
      }
    }
  }

  // osls takes the emulator for AWS. What `tox -e deploy` prints below can be called.
  hideAddressesOfAws() {
    if (!process.env.AWS_ENDPOINT_URL) return;
    this.serverless.serviceOutputs.delete('endpoint');
    this.serverless.serviceOutputs.delete('endpoints');
  }
};
