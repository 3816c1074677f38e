// What osls does not do by itself: it refuses what would go wrong in silence, waits for others that
// use the same files or the same stack, builds the package before it is uploaded, and does not print
// an address that nobody can call. It also tells our tools what it has made of serverless.yml, so
// that they need not read it themselves.

const { spawn, spawnSync } = require('node:child_process');
const { writeFileSync } = require('node:fs');

const PYTHON = process.env.PYTHON || 'python3';
const DEFAULT_ARCHITECTURE = 'x86_64';

const CHANGE_A_STACK = ['deploy', 'remove', 'rollback', 'rollback function'];
const USE_THE_PACKAGE = ['package', 'deploy'];

module.exports = class {
  constructor(serverless) {
    this.serverless = serverless;
    this.hooks = {
      initialize: async () => {
        this.checkDeploymentName();
        this.tell();
        await this.lock();
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
    return spawnSync(PYTHON, ['-m', ...program], {
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

  // tools/lock.py holds the locks until its standard input ends, as it does when osls ends.
  async lock() {
    const command = this.serverless.processedInput.commands.join(' ');
    const provider = this.serverless.getProvider('aws');
    const stack = `the stack ${provider.naming.getStackName()} in ${provider.getRegion()}`;
    const locks = [];
    if (CHANGE_A_STACK.includes(command)) locks.push(stack);
    if (USE_THE_PACKAGE.includes(command)) locks.push('the package');
    if (!locks.length) return;
    const holder = spawn(PYTHON, ['-m', 'tools.lock', ...locks], {
      cwd: this.serverless.serviceDir,
      stdio: ['pipe', 'inherit', 'inherit', 'pipe'],
    });
    const locked = await new Promise((resolve, reject) => {
      holder.once('error', reject);
      holder.once('exit', () => resolve(false));
      holder.stdio[3].once('data', () => resolve(true));
    });
    if (!locked) {
      this.stop(
        'osls has stopped, because it could not lock what it uses.',
        'tools/lock.py has ended, and says above why.',
        'correct that, then the same command again.',
      );
    }
    // None of these keeps osls from ending.
    for (const each of [holder, holder.stdin, holder.stdio[3]]) each.unref();
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
