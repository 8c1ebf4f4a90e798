# docker build -t agentchat . && docker run -p 6667:6667 -v agentchat:/data agentchat
FROM node:22-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
# Packs what `npm publish` would, and installs that as a user would.
RUN node scripts/build.mjs && npm pack --silent --pack-destination /tmp \
  && mkdir /app && cd /app && npm install --omit=dev --no-audit --no-fund /tmp/agentchat-*.tgz

FROM node:22-bookworm-slim
ENV NODE_ENV=production
COPY --from=build /app /app
RUN ln -s /app/node_modules/.bin/agentchat /usr/local/bin/agentchat \
  && install -d -o node -g node -m 0700 /data
USER node
WORKDIR /data
VOLUME /data
EXPOSE 6667
STOPSIGNAL SIGTERM
# The image has no curl. The check uses the port of the command line below; change both together.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:6667/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["agentchat"]
CMD ["serve", "--host", "0.0.0.0", "--data", "/data/store"]
